/**
 * Text to words and back, for the word tokenizer. What each way of cutting does, word-rules.ts says as data; here the data
 * are applied, and tokenizer.json carries them to Hugging Face's library.
 */
import { type Replacement, type WordRules, wordRules } from './word-rules.js'

/** Ways to cut text into words: our own, torchtext's, Keras's, and at single spaces as EIR does. */
export const normalizations = ['ptb', 'basic-english', 'keras', 'whitespace'] as const

/** One of the ways to cut text into words. */
export type Normalization = (typeof normalizations)[number]

/** How captions become words. */
export interface WordOptions {
  /** Default `ptb`. */
  readonly normalization?: Normalization
  /** Lower-case the text; `ptb` alone can do without. Default true. */
  readonly lowercase?: boolean
  /** `ptb`: keep each punctuation mark or symbol as a word of its own. Default false: dropped. */
  readonly keepPunctuation?: boolean
  /** `whitespace`: the character that stands between two words. Default a space. */
  readonly splitOn?: string
  /** Delete . , ? / " ' ; ` and lower-case before all else. Default false. */
  readonly clean?: boolean
}

/** Cuts text into words and joins words to text. */
export interface WordSplitter {
  /** The words of `text`, in order; empty when it has none. No word is empty. */
  readonly split: (text: string) => string[]
  /** Words as a line of text. */
  readonly join: (words: readonly string[]) => string
  readonly rules: WordRules
}

/** The splitter of some options. */
export function wordSplitter(options: WordOptions = {}): WordSplitter {
  const rules = wordRules(options)
  const replacers = rules.replacements.map(compiled)
  const glue = rules.glue.map(compiled)
  const word = new RegExp(rules.words, 'gu')
  const replaceAll = (text: string, all: typeof glue) =>
    all.reduce((changed, [from, to]) => changed.replace(from, () => to), text)
  return {
    rules,
    split: (text) => {
      const composed = rules.compose ? text.normalize('NFC') : text
      const normal = replaceAll(rules.lowercase ? composed.toLowerCase() : composed, replacers)
      return normal.match(word) ?? []
    },
    join: (list) => replaceAll(list.join(rules.separator), glue),
  }
}

function compiled([pattern, content]: Replacement): readonly [RegExp, string] {
  return [new RegExp(pattern, 'gu'), content]
}
