/**
 * What counts as one token in a caption, after the Stanford PTBTokenizer of CoreNLP 3.4.1, which
 * coco-caption runs. Written for captions: phone numbers, smileys and old newswire forms are left out.
 * `ptb.ts` applies these rules: the longest match wins, the earlier rule on a tie.
 */

/** Matches at one place: group 1 is the token, anything matched after it is only looked at. */
export interface TokenRule {
  readonly pattern: RegExp
  /** What the matched text becomes: one or more tokens, or none when coco-caption drops it. */
  readonly tokens: (text: string) => readonly string[]
}

const LETTER = '[\\p{L}\\p{M}]'
const ALNUM = '[\\p{L}\\p{M}\\p{Nd}]'
const WORD = `${LETTER}+(?:[.!?]${LETTER}+)*`
const CLITIC = "'(?:[msd]|re|ve|ll)"
const ACRONYM = '[a-z](?:\\.[a-z])+'
const NUMBER = '[-+]?(?:\\d*(?:[.:,]\\d+)+|\\d+)'
const SLASH_PART = `${ALNUM}+(?:-${LETTER}+)*`
const COMPOUND_PART = `(?:[dol]'${ALNUM})?${ALNUM}+`
const COMPOUND = `${COMPOUND_PART}(?:[-_\\u2010\\u2011]${COMPOUND_PART})*`
const DOTTED_COMPOUND = `${ALNUM}+(?:[.,]+${ALNUM}+)*[.,]*(?:-(?:${ACRONYM}\\.|${ALNUM}+))+`

/** Words that the Treebank writes as two, and where they are cut. */
const CUTS: ReadonlyMap<string, number> = new Map([
  ['cannot', 3],
  ['gonna', 3],
  ['gotta', 3],
  ['wanna', 3],
  ['gimme', 3],
  ['lemme', 3],
  ["'tis", 2],
  ["'twas", 2],
])

/** Keep their period, whatever follows. */
const ABBREVIATIONS = [
  'mr mrs ms drs? profs? revs? sr jr lt col gen gov sen rep maj sgt cpl pvt capt adm hon pres esq',
  'ste? ave blvd rd mt ft bldg dept',
  'jan feb mar apr jun jul aug sept? oct nov dec mon tues? wed thu thurs fri',
  'inc cos? corp ltd bros assn univ intl natl',
  'ala ariz calif colo conn fla ga ind kan ky md mich minn mo mont neb nev okla penn tenn va vt wis wyo',
  'etc vs al seq est ext sq tel wm',
]
  .join(' ')
  .replaceAll(' ', '|')

/** A word in lower case, as one token or, for a word such as "cannot", as two. */
export function splitWord(text: string): readonly string[] {
  const word = text.toLowerCase()
  const at = CUTS.get(word)
  return at === undefined ? [word] : [word.slice(0, at), word.slice(at)]
}

const SYMBOL_NAMES: ReadonlyMap<string, string> = new Map([
  ['(', '-lrb-'],
  [')', '-rrb-'],
  ['{', '-lcb-'],
  ['}', '-rcb-'],
  ['[', '-lsb-'],
  [']', '-rsb-'],
  ['¼', '1\\/4'],
  ['½', '1\\/2'],
  ['¾', '3\\/4'],
  ['⅓', '1\\/3'],
  ['⅔', '2\\/3'],
  ['¢', 'cents'],
  ['£', '#'],
  ['€', '$'],
])

const keep = (text: string): readonly string[] => [text.toLowerCase()]
const drop = (): readonly string[] => []
/** The Treebank's escapes: a slash or star gets a backslash; a space inside a number must not split it. */
const escaped = (text: string): readonly string[] =>
  keep(text.replace(/[/*]/g, '\\$&').replaceAll(' ', '\u00a0'))
const named = (text: string): readonly string[] => [SYMBOL_NAMES.get(text) ?? text.toLowerCase()]

const anyCase = (source: string, tokens = keep): TokenRule => ({
  pattern: new RegExp(source, 'iuy'),
  tokens,
})
const exactCase = (source: string, tokens = keep): TokenRule => ({
  pattern: new RegExp(source, 'uy'),
  tokens,
})

/** Text is read with straight quotes, plain dashes and a final newline: see `ptb.ts`. */
export const TOKEN_RULES: readonly TokenRule[] = [
  anyCase('(<[/!?]?[a-z][^>\\n]*>)'),
  anyCase("('t(?:is|was))", splitWord),

  // Words, and words before a clitic: dog|'s, do|n't
  anyCase(`(${WORD})${CLITIC}`),
  anyCase("([a-z]+(?<!n))n't"),
  anyCase(`(${WORD})`, splitWord),

  // Apostrophes that belong to the word: 'em, 'n', '90s, ol', O'Hara, Hawai'i
  anyCase("('(?:n'?|em|till?|cause|\\d0s)|[ldj]')"),
  anyCase("((?:dunkin|ol)'|c'mon|li'l|nor'easter|s'mores)"),
  exactCase(`((?![IY])\\p{Lu}'${LETTER}{2,})`),
  anyCase(`(${LETTER}+[aeiouy]'[aeiou]${LETTER}*)`),
  anyCase(`(y')${LETTER}`),

  anyCase('((?:https?://|www\\.)\\S*[\\p{L}\\p{N}/])', escaped),
  anyCase('([\\w.%+-]+@[a-z0-9][a-z0-9.-]*[a-z0-9])'),
  anyCase(`(@[a-z_][a-z_0-9]*|#${LETTER}+)`),
  anyCase(`(${CLITIC}|n't)[^a-z]`),

  // Dates, numbers, fractions, black/white
  anyCase('(\\d{1,2}[-/]\\d{1,2}[-/]\\d{2,4})', escaped),
  anyCase(`(${NUMBER})`),
  anyCase('((?:\\d{1,4}[- ])?\\d{1,4}/\\d{1,4})', escaped),
  anyCase(`(${SLASH_PART}(?:/${SLASH_PART}){1,2})`, escaped),
  exactCase('([A-Z]*\\$)'),

  // Periods that belong to the word
  anyCase(`((?:${ABBREVIATIONS}|[a-z](?:\\.[a-z])*|ph\\.d)\\.)`),
  exactCase('((?:Miss|Mass|Ill|Ore|Wash|Ark|Tex|Del|La|Pa)\\.)'),
  anyCase('((?:nos?|figs?|approx|ca|pp|sect?s?)\\.)\\s?\\d'),
  anyCase(`((?:${WORD}|${COMPOUND}|${DOTTED_COMPOUND})\\.)[,;:]`),
  anyCase("('\\d\\d)\\s"),

  // Compounds: t-shirt, 10-year-old, 4x4, AT&T
  anyCase(`(${DOTTED_COMPOUND})`),
  anyCase(`(${COMPOUND})`),
  exactCase('([A-Z]+(?:[+&][A-Z]+)+)'),

  // Quotes and the punctuation that coco-caption drops; longer runs of ?, ! and - it keeps
  anyCase(`(')${LETTER}\\S`, drop),
  anyCase(`(${CLITIC}|n't)`),
  anyCase("(''|['\"])", drop),
  anyCase('(\\.+|[,;:])', drop),
  anyCase('([?!]+)', (text) => (text.length === 1 ? [] : [text])),
  anyCase('(-+)', (text) => (text.length <= 4 ? [] : [text])),

  anyCase('(@+|#+|_+)'),
  anyCase('(\\*+)', escaped),
  anyCase('(/)', escaped),
  // CoreNLP 3.4.1 knows no characters above U+FFFF
  anyCase('((?![\\u{10000}-\\u{10ffff}])[\\p{S}\\p{P}\\p{No}])', named),
]
