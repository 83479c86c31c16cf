/**
 * The byte-level byte-pair tokenizer: text is UTF-8 bytes, and frequent byte sequences have ids of
 * their own, so nothing is unknown and any text comes back exactly (a lone surrogate as U+FFFD).
 * Learning merges is left to byte-pair-training.ts, applying them to byte-pair-merging.ts.
 * Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.
 */

import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { byteCharacters, tokenBytes } from './byte-alphabet.js'
import { type Merge, pieceMerger } from './byte-pair-merging.js'
import { learnMerges } from './byte-pair-training.js'
import {
  requireAtLeast,
  specialIds,
  specialTokens,
  type Tokenizer,
  textTokens,
  tokenAt,
} from './tokenizer.js'
import {
  checked,
  readModel,
  readVocabulary,
  tokenizerFile,
  unexpectedValue,
  vocabularyObject,
} from './tokenizer-file.js'

// GPT-2's split. Letters never share a piece with punctuation, so no merge can spell a special token.
// White_Space, not \s: JavaScript's \s has U+FEFF and lacks U+0085, unlike Hugging Face's.
const piecePattern =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu

const byteLevelJSON = {
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: true,
}

export interface BytePairTrainingOptions {
  /** Number of ids wanted: four special ones, 256 bytes, the rest merges. */
  readonly vocabularySize: number
  /** Pairs seen fewer times are not merged. Default 2. */
  readonly minCount?: number
}

/**
 * A byte-pair tokenizer whose merges are learnt from `captions`; their order does not matter. It has
 * fewer ids than asked for when too few pairs occur minCount times.
 *
 * @throws ArgumentError when vocabularySize is below 260 or minCount below 1
 */
export function trainBytePairTokenizer(
  captions: Iterable<string>,
  options: BytePairTrainingOptions,
): Tokenizer {
  const { vocabularySize, minCount = 2 } = options
  const tokens = [...specialTokens, ...byteCharacters]
  requireAtLeast('trainBytePairTokenizer', 'vocabularySize', vocabularySize, tokens.length)
  requireAtLeast('trainBytePairTokenizer', 'minCount', minCount, 1)
  const counts = new Map<string, number>()
  for (const caption of captions) {
    for (const piece of caption.match(piecePattern) ?? []) {
      counts.set(piece, (counts.get(piece) ?? 0) + 1)
    }
  }
  const pieces = Array.from(counts, ([piece, count]) => ({
    ids: Array.from(Buffer.from(piece), (byte) => specialTokens.length + byte),
    count,
  }))
  const merges = learnMerges(pieces, tokens, vocabularySize, minCount)
  return bytePairTokenizer(tokens, merges)
}

const mergesSchema = z.object({
  model: z.object({ merges: z.array(z.tuple([z.string(), z.string()])) }),
})

/** What a BPE model may also do in Hugging Face's format, and does not in ours. */
const modelSettings = {
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
}

/**
 * The byte-pair tokenizer that a tokenizer.json describes.
 *
 * @param json  the parsed file
 * @param file  its name, for messages
 * @throws CheckpointError naming the key when the file is damaged or is not one that captioneer wrote
 */
export function bytePairTokenizerFromJSON(json: unknown, file = 'tokenizer.json'): Tokenizer {
  const { normalizer, pre_tokenizer, model } = readModel(json, 'BPE', file)
  if (normalizer !== null) throw unexpectedValue(file, 'normalizer', normalizer)
  if (!isDeepStrictEqual(pre_tokenizer, byteLevelJSON)) {
    throw unexpectedValue(file, 'pre_tokenizer', pre_tokenizer)
  }
  for (const [key, value] of Object.entries(modelSettings)) {
    const received = model[key] ?? value
    if (received !== value) throw unexpectedValue(file, `model.${key}`, received)
  }

  const tokens = readVocabulary(model.vocab, file)
  const known = new Set(tokens.slice(specialTokens.length))
  for (const token of known) {
    if (tokenBytes(token) === undefined) {
      throw unexpectedValue(file, `model.vocab[${JSON.stringify(token)}]`, tokens.indexOf(token))
    }
  }
  const missing = byteCharacters.find((character) => !known.has(character))
  if (missing !== undefined) {
    throw unexpectedValue(file, `model.vocab[${JSON.stringify(missing)}]`, undefined)
  }
  const { merges } = checked(mergesSchema, json, file).model
  merges.forEach(([left, right], index) => {
    if (!known.has(left) || !known.has(right) || !known.has(left + right)) {
      throw unexpectedValue(file, `model.merges.${index}`, [left, right])
    }
  })
  return bytePairTokenizer(tokens, merges)
}

/** Pieces that stay in the cache: words of captions, not whole paragraphs without a space. */
const cachedPieces = 65_536
const cachedPieceLength = 64

function bytePairTokenizer(tokens: readonly string[], merges: readonly Merge[]): Tokenizer {
  const ids = new Map(tokens.map((token, id) => [token, id]))
  const byteIds = byteCharacters.map((character) => ids.get(character) as number)
  const merge = pieceMerger(merges, ids)
  const cache = new Map<string, readonly number[]>()

  const encodePiece = (piece: string): readonly number[] => {
    const cached = cache.get(piece)
    if (cached) return cached
    const encoded = merge(Array.from(Buffer.from(piece), (byte) => byteIds[byte] as number))
    if (cache.size >= cachedPieces) cache.clear()
    if (piece.length <= cachedPieceLength) cache.set(piece, encoded)
    return encoded
  }

  return {
    kind: 'byte-pair',
    vocabularySize: tokens.length,
    ...specialIds,
    encode: (text) => (text.match(piecePattern) ?? []).flatMap(encodePiece),
    decode: (sequence) =>
      Buffer.from(
        textTokens(tokens, sequence).flatMap((token) => tokenBytes(token) ?? []),
      ).toString(),
    token: (id) => tokenAt('token', tokens, id),
    toJSON: () =>
      tokenizerFile({
        normalizer: null,
        pre_tokenizer: byteLevelJSON,
        decoder: byteLevelJSON,
        model: { type: 'BPE', ...modelSettings, vocab: vocabularyObject(tokens), merges },
      }),
  }
}
