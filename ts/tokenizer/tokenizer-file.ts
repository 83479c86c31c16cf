/**
 * The parts of tokenizer.json that both kinds of tokenizer share: Hugging Face's "tokenizers" format,
 * version 1.0, checked against what captioneer can read. The models are left to word.ts and byte-pair.ts.
 * Source of the format: https://huggingface.co/docs/tokenizers
 */

import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { CheckpointError, printable } from '../errors.js'
import { specialTokens } from './tokenizer.js'

/** What differs between the two kinds. */
export interface TokenizerParts {
  readonly normalizer: unknown
  readonly pre_tokenizer: unknown
  readonly decoder: unknown
  readonly model: unknown
}

/** The whole content of a tokenizer.json. */
export function tokenizerFile(parts: TokenizerParts) {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens,
    normalizer: parts.normalizer,
    pre_tokenizer: parts.pre_tokenizer,
    post_processor: null,
    decoder: parts.decoder,
    model: parts.model,
  }
}

const addedTokens = specialTokens.map((content, id) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
}))

/** Token to id as a JSON object; a word such as "__proto__" becomes an ordinary key. */
export function vocabularyObject(tokens: readonly string[]): Record<string, number> {
  return Object.fromEntries(tokens.map((token, id) => [token, id]))
}

// Not z.record: it drops the key "__proto__", which is a word like any other.
const jsonObject = z.custom<object>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'expected an object',
)

const fileSchema = z.object({
  version: z.literal('1.0'),
  added_tokens: z.array(z.looseObject({ id: z.int(), content: z.string() })),
  normalizer: z.unknown(),
  pre_tokenizer: z.unknown(),
  model: z.looseObject({ type: z.enum(['WordLevel', 'BPE']), vocab: jsonObject }),
})

/** A tokenizer.json whose shared parts are in order. */
export type TokenizerFile = z.infer<typeof fileSchema>

/** @throws CheckpointError naming the first key of `json` that is missing or wrong */
export function readFileParts(json: unknown, file: string): TokenizerFile {
  const parts = checked(fileSchema, json, file)
  if (!isDeepStrictEqual(parts.added_tokens, addedTokens)) {
    throw new CheckpointError(
      `${file}: expected added_tokens to be ${specialTokens.join(' ')} with the ids 0 to 3, all special, received ${printable(parts.added_tokens)}. ${advice}`,
    )
  }
  return parts
}

/** As readFileParts, for one type of model. */
export function readModel(json: unknown, type: 'WordLevel' | 'BPE', file: string): TokenizerFile {
  const parts = readFileParts(json, file)
  if (parts.model.type !== type) throw unexpectedValue(file, 'model.type', parts.model.type)
  return parts
}

/**
 * The tokens by id.
 *
 * @param vocab  token to id
 * @throws CheckpointError when the ids are not 0, 1, 2, ... each once, or the special tokens not the first
 */
export function readVocabulary(vocab: object, file: string): string[] {
  const entries = Object.entries(vocab)
  const tokens = new Array<string | undefined>(entries.length)
  for (const [token, id] of entries) {
    const key = `model.vocab[${printable(token)}]`
    if (!Number.isInteger(id) || id < 0 || id >= tokens.length || tokens[id] !== undefined) {
      throw new CheckpointError(
        `${file}: expected ${key} to be an id from 0 to ${tokens.length - 1} that no other token has, received ${printable(id)}. ${advice}`,
      )
    }
    if (token === '') throw unexpectedValue(file, key, id)
    tokens[id] = token
  }
  const complete = tokens as string[]
  specialTokens.forEach((special, id) => {
    if (complete[id] !== special)
      throw unexpectedValue(file, `id ${id} in model.vocab`, complete[id])
  })
  return complete
}

/** `value` as the type of `schema`. @throws CheckpointError naming the first key that does not fit */
export function checked<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const key = issue?.path.join('.') || 'the whole file'
  throw new CheckpointError(`${file}: wrong value of ${key}: ${issue?.message}. ${advice}`, {
    cause: result.error,
  })
}

/** A part that is well formed, but that captioneer does not write and cannot honour. */
export function unexpectedValue(file: string, key: string, value: unknown): CheckpointError {
  return new CheckpointError(
    `${file}: ${key} is not what captioneer writes, received ${printable(value)}. ${advice}`,
  )
}

/** What to do about a file that cannot be read. */
export const advice =
  'The file is damaged or was made by another program: use the tokenizer.json that was saved with the model'
