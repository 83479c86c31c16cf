/**
 * Text to words and back, for the word tokenizer. Patterns are written as strings that mean the same
 * to JavaScript and to Oniguruma, because tokenizer.json carries them to Hugging Face's library.
 *
 * 1. Unicode NFC, then lower case (unless `lowercase` is false); typographic apostrophes and hyphens
 *    become ' and -.
 * 2. A word is a run of letters, digits and their combining marks. One hyphen or apostrophe between
 *    two runs keeps them one word (t-shirt, o'clock), and so does . , or : between digits (3.5, 10:30).
 * 3. English endings are words of their own: dog's is "dog" and "'s", as in the Penn Treebank.
 * 4. Everything else is dropped; with `keepPunctuation` each punctuation mark or symbol is a word.
 */

/** How captions become words. */
export interface WordOptions {
  /** Lower-case the text. Default true. */
  readonly lowercase?: boolean
  /** Keep each punctuation mark or symbol as a word of its own. Default false: dropped. */
  readonly keepPunctuation?: boolean
}

/** Each pair: what is replaced (a pattern), and by what. */
export const replacements: readonly (readonly [pattern: string, content: string])[] = [
  ['[\u2019\u02BC]', "'"],
  ['[\u2010\u2011]', '-'],
]

const inRun = '[\\p{L}\\p{M}\\p{N}]'
const run = `[\\p{L}\\p{N}]${inRun}*`
const ending = `'(?:s|t|re|ve|ll|d|m)(?!${inRun})`
const joint = `(?:-|(?!${ending})'|(?<=\\p{N})[.,:](?=\\p{N}))`
const word = `${run}(?:${joint}${run})*|${ending}`

/** Matches each word of a normalised text. */
export function wordPattern(keepPunctuation: boolean): string {
  return keepPunctuation ? `${word}|[\\p{P}\\p{S}]` : word
}

/** Matches each space, between words joined by spaces, that written English does not have. */
export const gluePattern = ` (?=${ending}|[.,!?;:)\\]}%])|(?<=[(\\[{]) `

const replacers = replacements.map(
  ([pattern, content]) => [new RegExp(pattern, 'gu'), content] as const,
)
const words = new RegExp(wordPattern(false), 'gu')
const wordsAndPunctuation = new RegExp(wordPattern(true), 'gu')
const glue = new RegExp(gluePattern, 'gu')

/** The words of `text`, in order; empty when it has none. */
export function splitWords(text: string, options: WordOptions = {}): string[] {
  let normal = text.normalize('NFC')
  if (options.lowercase ?? true) normal = normal.toLowerCase()
  for (const [pattern, content] of replacers) normal = normal.replace(pattern, content)
  return normal.match(options.keepPunctuation ? wordsAndPunctuation : words) ?? []
}

/** Words as a line of text: spaces between, none before an ending or a full stop. */
export function joinWords(list: readonly string[]): string {
  return list.join(' ').replace(glue, '')
}
