/**
 * What the ways of cutting text into words do, as data. Patterns are written as strings that mean the same to JavaScript
 * and to Oniguruma, because tokenizer.json carries them to Hugging Face's library. normalize.ts applies them.
 *
 * `ptb`, our own:
 * 1. Unicode NFC, then lower case (unless `lowercase` is false); typographic apostrophes and hyphens become ' and -.
 * 2. A word is a run of letters, digits and their combining marks. One hyphen or apostrophe between two runs keeps them
 *    one word (t-shirt, o'clock), and so does . , or : between digits (3.5, 10:30).
 * 3. English endings are words of their own: dog's is "dog" and "'s", as in the Penn Treebank.
 * 4. Everything else is dropped; with `keepPunctuation` each punctuation mark or symbol is a word.
 *
 * `basic-english`: torchtext's basic_english. `keras`: TextVectorization's lower_and_strip_punctuation. `whitespace`: EIR
 * without a tokenizer.
 */
import type { WordOptions } from './normalize.js'

/** What is replaced (a pattern), and by what. */
export type Replacement = readonly [pattern: string, content: string]

/** One way of cutting. */
export interface WordRules {
  /** Unicode NFC first. */
  readonly compose: boolean
  readonly lowercase: boolean
  /** Done in turn to the whole text. */
  readonly replacements: readonly Replacement[]
  /** A pattern of what a word is; all else is dropped. */
  readonly words: string
  /** Stands between words that are joined. */
  readonly separator: string
  /** Done in turn to words that are joined again: takes away what the language does not write. */
  readonly glue: readonly Replacement[]
}

/** The rules of some options. */
export function wordRules(options: WordOptions): WordRules {
  const { normalization = 'ptb', clean = false } = options
  const rules = {
    ptb: () => pennTreebank(options),
    'basic-english': () => basicEnglish,
    keras: () => keras,
    whitespace: () => whitespace(options),
  }[normalization]()
  if (!clean) return rules
  return { ...rules, lowercase: true, replacements: [cleaning, ...rules.replacements] }
}

/** The marks that deependujha/Image-Captioning deletes from Flickr30k. */
const cleaning: Replacement = ['[.,?/"\';`]', '']

const inRun = '[\\p{L}\\p{M}\\p{N}]'
const run = `[\\p{L}\\p{N}]${inRun}*`
const endings = `(?:s|t|re|ve|ll|d|m)(?!${inRun})`
const ending = `'${endings}`
const joint = `(?:-|(?!${ending})'|(?<=\\p{N})[.,:](?=\\p{N}))`
const word = `${run}(?:${joint}${run})*|${ending}`
const notSpace = '\\P{White_Space}+'

function pennTreebank({ lowercase = true, keepPunctuation = false }: WordOptions): WordRules {
  return {
    compose: true,
    lowercase,
    replacements: [
      ['[\u2019\u02BC]', "'"],
      ['[\u2010\u2011]', '-'],
    ],
    words: keepPunctuation ? `${word}|[\\p{P}\\p{S}]` : word,
    separator: ' ',
    // Each space, between words joined by spaces, that written English does not have.
    glue: [[` (?=${ending}|[.,!?;:)\\]}%])|(?<=[(\\[{]) `, '']],
  }
}

// Source: torchtext 0.18, torchtext/data/utils.py.
const basicEnglish: WordRules = {
  compose: false,
  lowercase: true,
  replacements: [
    ["'", " ' "],
    ['"', ''],
    ['\\.', ' . '],
    ['<br />', ' '],
    [',', ' , '],
    ['\\(', ' ( '],
    ['\\)', ' ) '],
    ['!', ' ! '],
    ['\\?', ' ? '],
    ['[;:]', ' '],
  ],
  words: notSpace,
  separator: ' ',
  glue: [
    [' (?=[.,!?)])|(?<=\\() ', ''],
    [`(?<=\\p{L}) ' (?=${endings})`, "'"],
  ],
}

// Source: Keras 2.13, TextVectorization, DEFAULT_STRIP_REGEX.
const keras: WordRules = {
  compose: false,
  lowercase: true,
  replacements: [['[!"#$%&()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~\']', '']],
  words: notSpace,
  separator: ' ',
  glue: [],
}

function whitespace({ splitOn = ' ' }: WordOptions): WordRules {
  return {
    compose: false,
    lowercase: false,
    replacements: [],
    words: between(splitOn),
    separator: splitOn,
    glue: [],
  }
}

/** A pattern of what stands between separators of one character. */
function between(separator: string): string {
  return `[^${separator.replace(/[\\^\-[\]]/, '\\$&')}]+`
}

/** The separator of a pattern that `between` made; a space for any other pattern. */
export function separatorOf(words: string): string {
  return /^\[\^\\?(.)\]\+$/su.exec(words)?.[1] ?? ' '
}
