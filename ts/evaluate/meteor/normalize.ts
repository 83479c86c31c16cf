/**
 * The words that METEOR 1.5 compares (its option -norm for English): compounds fall apart, an apostrophe is a word of
 * its own before an ending, abbreviations lose their dots. Takes the scoring tokens of ptb.ts.
 */

const LETTERS =
  'A-Za-z\u0160\u017d\u0161\u017e\u0178\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017e' +
  '\u0400-\u0527\ua640-\ua66e\ua67e-\ua697\u1d00-\u1d7f'

const PLAIN = /^[a-z0-9 ]*$/

/** In this order, as each works on what the ones before left. */
const RULES: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [new RegExp(`([^${LETTERS}0-9\\s.'\`,\\-‘’])`, 'g'), ' $1 '],
  [/(\D),(\D)/g, '$1 , $2'],
  [/(\d),(\D)/g, '$1 , $2'],
  [/(\D),(\d)/g, '$1 , $2'],
  [/[`‘’]/g, "'"],
  [/[“”]|''/g, ' " '],
  [/–/g, '-'],
  [/--/g, '-'],
  [new RegExp(`([${LETTERS}0-9.])-([${LETTERS}0-9])`, 'g'), '$1 $2'],
  [new RegExp(`([^${LETTERS}])'([^${LETTERS}])`, 'g'), "$1 ' $2"],
  [new RegExp(`([^${LETTERS}0-9])'([${LETTERS}])`, 'g'), "$1 ' $2"],
  [new RegExp(`([${LETTERS}])'([^${LETTERS}])`, 'g'), "$1 ' $2"],
  [new RegExp(`([${LETTERS}])'([${LETTERS}])`, 'g'), "$1 '$2"],
  [/(\d)'(s)/g, "$1 '$2"],
]

/** Abbreviations in lower case that keep their dot before anything; any word keeps it before a lower-case letter. */
const KEEPS_DOT: ReadonlySet<string> = new Set(['v', 'vs', 'rev'])
const KEEPS_DOT_BEFORE_NUMBER: ReadonlySet<string> = new Set(['pp'])

/**
 * METEOR's words of a caption.
 * Source: behaviour of cmu-mtlab/meteor, src/edu/cmu/meteor/util/Normalizer.java, which follows the tokenizer of
 * Moses; runs of dots, which no scoring token has, are left out.
 */
export function normalizeTokens(tokens: readonly string[]): readonly string[] {
  const line = tokens.join(' ')
  if (PLAIN.test(line)) return tokens
  const words = RULES.reduce(
    (text, [pattern, replacement]) => text.replace(pattern, replacement),
    ` ${line} `,
  )
    .trim()
    .split(/\s+/)
  return words.flatMap((word, i) => {
    if (!word.endsWith('.') || word.length === 1) return [word]
    const abbreviation = word.slice(0, -1)
    const next = words[i + 1] ?? ''
    if (abbreviation.includes('.') && new RegExp(`[${LETTERS}]`).test(abbreviation))
      return [word.replaceAll('.', '')]
    const keeps =
      KEEPS_DOT.has(abbreviation) ||
      /^[a-z]/.test(next) ||
      (KEEPS_DOT_BEFORE_NUMBER.has(abbreviation) && /^\d/.test(next))
    return keeps ? [word] : [abbreviation, '.']
  })
}
