/**
 * The Snowball stemmer for English ("Porter2"), as METEOR 1.5 uses it: words of one stem count as the same word.
 * Source: Porter and Boulton, https://snowballstem.org/algorithms/english/stemmer.html, the rules of before 2018.
 */

const VOWEL = 'aeiouy'
const DOUBLE = /(?:bb|dd|ff|gg|mm|nn|pp|rr|tt)$/
/** A vowel, then a consonant other than w, x and Y at the end; or a vowel and a consonant as the whole word. */
const SHORT_SYLLABLE = /[^aeiouy][aeiouy][^aeiouywxY]$|^[aeiouy][^aeiouy]$/

const WHOLE_WORDS: ReadonlyMap<string, string> = new Map([
  ['skis', 'ski'],
  ['skies', 'sky'],
  ['dying', 'die'],
  ['lying', 'lie'],
  ['tying', 'tie'],
  ['idly', 'idl'],
  ['gently', 'gentl'],
  ['ugly', 'ugli'],
  ['early', 'earli'],
  ['only', 'onli'],
  ['singly', 'singl'],
  ...['sky', 'news', 'howe', 'atlas', 'cosmos', 'bias', 'andes'].map((word): [string, string] => [
    word,
    word,
  ]),
])

/** Left as they are once a plural is off. */
const AFTER_PLURAL: ReadonlySet<string> = new Set(
  'inning outing canning herring earring proceed exceed succeed'.split(' '),
)

/** Longer endings stand before shorter ones that they end in. */
const STEP_2: readonly (readonly [ending: string, replacement: string])[] = [
  ['ization', 'ize'],
  ['ational', 'ate'],
  ['fulness', 'ful'],
  ['ousness', 'ous'],
  ['iveness', 'ive'],
  ['tional', 'tion'],
  ['biliti', 'ble'],
  ['lessli', 'less'],
  ['entli', 'ent'],
  ['ation', 'ate'],
  ['alism', 'al'],
  ['aliti', 'al'],
  ['ousli', 'ous'],
  ['iviti', 'ive'],
  ['fulli', 'ful'],
  ['enci', 'ence'],
  ['anci', 'ance'],
  ['abli', 'able'],
  ['izer', 'ize'],
  ['ator', 'ate'],
  ['alli', 'al'],
  ['bli', 'ble'],
]

const STEP_3: readonly (readonly [ending: string, replacement: string])[] = [
  ['ational', 'ate'],
  ['tional', 'tion'],
  ['alize', 'al'],
  ['icate', 'ic'],
  ['iciti', 'ic'],
  ['ical', 'ic'],
  ['ness', ''],
  ['ful', ''],
]

const STEP_4 = /(?:ement|ance|ence|able|ible|ment|ant|ent|ism|ate|iti|ous|ive|ize|ion|al|er|ic)$/

/** The stem of a word in lower case; words of up to two letters stay as they are. */
export function stem(text: string): string {
  if (text.length <= 2) return text
  const whole = WHOLE_WORDS.get(text)
  if (whole !== undefined) return whole
  let word = markConsonantY(text.replace(/^'/, ''))
  const region1 = /^(?:gener|commun|arsen)/.exec(word)?.[0].length ?? regionFrom(word, 0)
  const region2 = regionFrom(word, region1)
  word = withoutPlural(word.replace(/'s'$|'s$|'$/, ''))
  if (!AFTER_PLURAL.has(word)) {
    word = withoutPast(word, region1)
    word = word.replace(/(?<=.[^aeiouy])[yY]$/, 'i')
    word = derived(word, region1)
    word = shortened(word, region1, region2)
    word = withoutSuffix(word, region2)
    word = withoutFinal(word, region1, region2)
  }
  return word.replaceAll('Y', 'y')
}

/** Writes Y for each y that is a consonant: at the beginning and after a vowel. */
function markConsonantY(word: string): string {
  let marked = ''
  for (const letter of word) {
    const before = marked.at(-1)
    const consonant = letter === 'y' && (before === undefined || VOWEL.includes(before))
    marked += consonant ? 'Y' : letter
  }
  return marked
}

/** Where the region after the first consonant that follows a vowel begins. */
function regionFrom(word: string, start: number): number {
  for (let at = start + 1; at < word.length; at++) {
    if (VOWEL.includes(word[at - 1] as string) && !VOWEL.includes(word[at] as string)) return at + 1
  }
  return word.length
}

function withoutPlural(word: string): string {
  if (word.endsWith('sses')) return word.slice(0, -2)
  if (/ie[ds]$/.test(word)) return word.slice(0, word.length > 4 ? -2 : -1)
  if (/(?:us|ss)$/.test(word)) return word
  // A vowel must stand before the letter before the s: "gaps" loses it, "gas" does not.
  return /[aeiouy].+s$/.test(word) ? word.slice(0, -1) : word
}

function withoutPast(word: string, region1: number): string {
  const eed = /eed(?:ly)?$/.exec(word)
  if (eed) return eed.index >= region1 ? `${word.slice(0, eed.index)}ee` : word
  const found = /(?:ing|ed)(?:ly)?$/.exec(word)
  if (!found) return word
  const rest = word.slice(0, found.index)
  if (!/[aeiouy]/.test(rest)) return word
  if (/(?:at|bl|iz)$/.test(rest)) return `${rest}e`
  if (DOUBLE.test(rest)) return rest.slice(0, -1)
  return SHORT_SYLLABLE.test(rest) && region1 >= rest.length ? `${rest}e` : rest
}

function derived(word: string, region1: number): string {
  for (const [ending, replacement] of STEP_2) {
    if (!word.endsWith(ending)) continue
    const at = word.length - ending.length
    return at >= region1 ? word.slice(0, at) + replacement : word
  }
  if (word.endsWith('ogi')) {
    const at = word.length - 3
    return at >= region1 && word[at - 1] === 'l' ? word.slice(0, -1) : word
  }
  return /[cdeghkmnrt]li$/.test(word) && word.length - 2 >= region1 ? word.slice(0, -2) : word
}

function shortened(word: string, region1: number, region2: number): string {
  for (const [ending, replacement] of STEP_3) {
    if (!word.endsWith(ending)) continue
    const at = word.length - ending.length
    return at >= region1 ? word.slice(0, at) + replacement : word
  }
  return word.endsWith('ative') && word.length - 5 >= region2 ? word.slice(0, -5) : word
}

function withoutSuffix(word: string, region2: number): string {
  const found = STEP_4.exec(word)
  if (!found || found.index < region2) return word
  if (found[0] === 'ion' && !/[st]ion$/.test(word)) return word
  return word.slice(0, found.index)
}

function withoutFinal(word: string, region1: number, region2: number): string {
  const rest = word.slice(0, -1)
  const at = rest.length
  if (word.endsWith('e'))
    return at >= region2 || (at >= region1 && !SHORT_SYLLABLE.test(rest)) ? rest : word
  return word.endsWith('ll') && at >= region2 ? rest : word
}
