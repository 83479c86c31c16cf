/**
 * The word tokenizer: one id per word of the training captions, unk for every other word. What a word
 * is, normalize.ts says.
 */

import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { argumentError, DataError } from '../errors.js'
import { normalizations, type WordOptions, type WordSplitter, wordSplitter } from './normalize.js'
import {
  requireAtLeast,
  specialIds,
  specialTokens,
  type Tokenizer,
  textTokens,
  tokenAt,
} from './tokenizer.js'
import {
  readModel,
  readVocabulary,
  tokenizerFile,
  unexpectedValue,
  vocabularyObject,
} from './tokenizer-file.js'
import { type Replacement, separatorOf, type WordRules } from './word-rules.js'

export interface WordTrainingOptions extends WordOptions {
  /** Words seen fewer times are left to unk. Default 1: every word is kept. */
  readonly minCount?: number
  /** Greatest vocabularySize, the four special ids included. Default: no limit. */
  readonly maxSize?: number
}

/**
 * A word tokenizer over the words of `captions`: the most frequent first, equal counts by code point,
 * so that the same captions in any order give the same ids.
 *
 * @throws ArgumentError when minCount is below 1, maxSize below 5, or splitOn not one character
 * @throws DataError when no word reaches minCount
 */
export function trainWordTokenizer(
  captions: Iterable<string>,
  options: WordTrainingOptions = {},
): Tokenizer {
  const { minCount = 1, maxSize } = options
  requireAtLeast('trainWordTokenizer', 'minCount', minCount, 1)
  if (maxSize !== undefined) {
    requireAtLeast('trainWordTokenizer', 'maxSize', maxSize, specialTokens.length + 1)
  }
  if (options.splitOn !== undefined && [...options.splitOn].length !== 1)
    throw argumentError('trainWordTokenizer', 'splitOn', 'one character', options.splitOn)
  const splitter = wordSplitter(options)
  const counts = new Map<string, number>()
  for (const caption of captions) {
    for (const word of splitter.split(caption)) counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  const words = [...counts]
    .filter(([word, count]) => count >= minCount && !specialTokens.includes(word))
    .sort(([a, countOfA], [b, countOfB]) => countOfB - countOfA || compareCodePoints(a, b))
    .map(([word]) => word)
  if (words.length === 0) {
    throw new DataError(
      `trainWordTokenizer: no word occurs ${minCount} times or more (${counts.size} different words were seen); check the captions or lower minCount`,
    )
  }
  return wordTokenizer([...specialTokens, ...words].slice(0, maxSize), splitter)
}

/**
 * The word tokenizer that a tokenizer.json describes.
 *
 * @param json  the parsed file
 * @param file  its name, for messages
 * @throws CheckpointError naming the key when the file is damaged or is not one that captioneer wrote
 */
export function wordTokenizerFromJSON(json: unknown, file = 'tokenizer.json'): Tokenizer {
  const { normalizer, pre_tokenizer, model } = readModel(json, 'WordLevel', file)
  const alike = splittersOf(pre_tokenizer)
  if (alike.length === 0) throw unexpectedValue(file, 'pre_tokenizer', pre_tokenizer)
  const splitter = alike.find(({ rules }) => isDeepStrictEqual(normalizer, normalizerJSON(rules)))
  if (splitter === undefined) throw unexpectedValue(file, 'normalizer', normalizer)
  return wordTokenizer(readVocabulary(model.vocab, file), splitter)
}

function wordTokenizer(tokens: readonly string[], { rules, split, join }: WordSplitter): Tokenizer {
  // Text never gives a special id, whatever is written in it.
  const words = tokens.slice(specialTokens.length)
  const ids = new Map(words.map((word, i) => [word, specialTokens.length + i]))
  return {
    kind: 'word',
    vocabularySize: tokens.length,
    ...specialIds,
    encode: (text) => split(text).map((word) => ids.get(word) ?? specialIds.unk),
    decode: (sequence) => join(textTokens(tokens, sequence)),
    token: (id) => tokenAt('token', tokens, id),
    toJSON: () =>
      tokenizerFile({
        normalizer: normalizerJSON(rules),
        pre_tokenizer: preTokenizerJSON(rules),
        decoder: decoderJSON(rules),
        model: {
          type: 'WordLevel',
          vocab: vocabularyObject(tokens),
          unk_token: specialTokens[specialIds.unk],
        },
      }),
  }
}

/** Every splitter that a file with this pre-tokenizer may mean. */
function splittersOf(preTokenizer: unknown): readonly WordSplitter[] {
  const splitOn = separatorOf(patternSchema.safeParse(preTokenizer).data?.pattern.Regex ?? '')
  const flags = [true, false]
  const options = normalizations.flatMap((normalization) =>
    flags.flatMap((clean) =>
      flags.flatMap((lowercase) =>
        flags.map((keepPunctuation) => ({
          normalization,
          clean,
          lowercase,
          keepPunctuation,
          splitOn,
        })),
      ),
    ),
  )
  return options
    .map(wordSplitter)
    .filter(({ rules }) => isDeepStrictEqual(preTokenizer, preTokenizerJSON(rules)))
}

const patternSchema = z.looseObject({ pattern: z.object({ Regex: z.string() }) })

function normalizerJSON({ compose, lowercase, replacements }: WordRules) {
  const normalizers = [
    ...(compose ? [{ type: 'NFC' }] : []),
    ...(lowercase ? [{ type: 'Lowercase' }] : []),
    ...replacements.map(replaceJSON),
  ]
  return normalizers.length === 0 ? null : { type: 'Sequence', normalizers }
}

function preTokenizerJSON({ words }: WordRules) {
  return { type: 'Split', pattern: { Regex: words }, behavior: 'Removed', invert: true }
}

// "WordPiece" is there for the spaces it puts between tokens; no token starts with its prefix, a space. Nothing in the format puts
// anything else between them.
function decoderJSON({ separator, glue }: WordRules) {
  if (separator !== ' ') return null
  return {
    type: 'Sequence',
    decoders: [
      { type: 'WordPiece', prefix: ' ', cleanup: false },
      { type: 'Fuse' },
      ...glue.map(replaceJSON),
    ],
  }
}

function replaceJSON([pattern, content]: Replacement) {
  return { type: 'Replace', pattern: { Regex: pattern }, content }
}

/** The order of UTF-8 bytes is the order of code points; that of JavaScript strings is not. */
function compareCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
