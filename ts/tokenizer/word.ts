/**
 * The word tokenizer: one id per word of the training captions, unk for every other word. What a word
 * is, normalize.ts says.
 */

import { isDeepStrictEqual } from 'node:util'
import { DataError } from '../errors.js'
import {
  gluePattern,
  joinWords,
  replacements,
  splitWords,
  type WordOptions,
  wordPattern,
} from './normalize.js'
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
 * @throws ArgumentError when minCount is below 1 or maxSize below 5
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
  const counts = new Map<string, number>()
  for (const caption of captions) {
    for (const word of splitWords(caption, options)) counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  const words = [...counts]
    .filter(([, count]) => count >= minCount)
    .sort(([a, countOfA], [b, countOfB]) => countOfB - countOfA || compareCodePoints(a, b))
    .map(([word]) => word)
  if (words.length === 0) {
    throw new DataError(
      `trainWordTokenizer: no word occurs ${minCount} times or more (${counts.size} different words were seen); check the captions or lower minCount`,
    )
  }
  return wordTokenizer([...specialTokens, ...words].slice(0, maxSize), options)
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
  const lowercase = [true, false].find((yes) => isDeepStrictEqual(normalizer, normalizerJSON(yes)))
  if (lowercase === undefined) throw unexpectedValue(file, 'normalizer', normalizer)
  const keepPunctuation = [true, false].find((yes) =>
    isDeepStrictEqual(pre_tokenizer, preTokenizerJSON(yes)),
  )
  if (keepPunctuation === undefined) throw unexpectedValue(file, 'pre_tokenizer', pre_tokenizer)
  return wordTokenizer(readVocabulary(model.vocab, file), { lowercase, keepPunctuation })
}

function wordTokenizer(tokens: readonly string[], options: WordOptions): Tokenizer {
  const { lowercase = true, keepPunctuation = false } = options
  const ids = new Map(tokens.map((token, id) => [token, id]))
  return {
    kind: 'word',
    vocabularySize: tokens.length,
    ...specialIds,
    // A special token's string holds several punctuation marks, so no word can equal one.
    encode: (text) =>
      splitWords(text, { lowercase, keepPunctuation }).map(
        (word) => ids.get(word) ?? specialIds.unk,
      ),
    decode: (sequence) => joinWords(textTokens(tokens, sequence)),
    token: (id) => tokenAt('token', tokens, id),
    toJSON: () =>
      tokenizerFile({
        normalizer: normalizerJSON(lowercase),
        pre_tokenizer: preTokenizerJSON(keepPunctuation),
        decoder: decoderJSON,
        model: {
          type: 'WordLevel',
          vocab: vocabularyObject(tokens),
          unk_token: specialTokens[specialIds.unk],
        },
      }),
  }
}

function normalizerJSON(lowercase: boolean) {
  return {
    type: 'Sequence',
    normalizers: [
      { type: 'NFC' },
      ...(lowercase ? [{ type: 'Lowercase' }] : []),
      ...replacements.map(([pattern, content]) => replaceJSON(pattern, content)),
    ],
  }
}

function preTokenizerJSON(keepPunctuation: boolean) {
  const pattern = { Regex: wordPattern(keepPunctuation) }
  return { type: 'Split', pattern, behavior: 'Removed', invert: true }
}

// "WordPiece" is there for the spaces it puts between tokens; no word starts with its prefix.
const decoderJSON = {
  type: 'Sequence',
  decoders: [
    { type: 'WordPiece', prefix: '##', cleanup: false },
    { type: 'Fuse' },
    replaceJSON(gluePattern, ''),
  ],
}

function replaceJSON(pattern: string, content: string) {
  return { type: 'Replace', pattern: { Regex: pattern }, content }
}

/** The order of UTF-8 bytes is the order of code points; that of JavaScript strings is not. */
function compareCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
