/**
 * What every tokenizer offers: text to ids and back, with the same four special ids. How text is cut
 * into tokens is left to word.ts and byte-pair.ts; the file format to tokenizer-file.ts.
 */

import { argumentError } from '../errors.js'

/** Text to ids and back. Immutable once made; the same object may be shared by any number of callers. */
export interface Tokenizer {
  readonly kind: 'word' | 'byte-pair'
  /** Number of ids, the four special ones included; ids are 0 to vocabularySize - 1. */
  readonly vocabularySize: number
  /** Fills a row after its end. */
  readonly pad: number
  /** Stands before the first token of a caption. */
  readonly bos: number
  /** Ends a caption. */
  readonly eos: number
  /** A word outside the vocabulary; never produced by a byte-pair tokenizer. */
  readonly unk: number
  /** The ids of `text`, without bos and eos. No text gives pad, bos or eos. */
  encode(text: string): number[]
  /**
   * The text of `ids` up to the first eos; special ids are left out.
   * @throws ArgumentError when an id is not an integer from 0 to vocabularySize - 1
   */
  decode(ids: readonly number[]): string
  /**
   * The vocabulary's own string for one id: a word, or bytes in the alphabet of byte-alphabet.ts.
   * @throws ArgumentError when `id` is not an integer from 0 to vocabularySize - 1
   */
  token(id: number): string
  /** The content of tokenizer.json: plain data, ready for JSON.stringify. See docs/tokenizer.md. */
  toJSON(): unknown
}

/** The special ids, alike in every tokenizer. */
export const specialIds = { pad: 0, bos: 1, eos: 2, unk: 3 } as const

/** How the special ids are written in a file, by id. Text is never searched for these strings. */
export const specialTokens: readonly string[] = ['<|pad|>', '<|bos|>', '<|eos|>', '<|unk|>']

/**
 * The vocabulary's string for each id that stands for text: up to the first eos, specials left out.
 *
 * @param tokens  the vocabulary by id
 * @throws ArgumentError when an id is outside the vocabulary
 */
export function textTokens(tokens: readonly string[], ids: readonly number[]): string[] {
  const found: string[] = []
  for (const id of ids) {
    if (id === specialIds.eos) break
    const token = tokenAt('decode', tokens, id)
    if (id >= specialTokens.length) found.push(token)
  }
  return found
}

/** `tokens[id]`. @throws ArgumentError when `id` is outside the vocabulary */
export function tokenAt(where: string, tokens: readonly string[], id: number): string {
  const token = tokens[id]
  if (token === undefined) {
    throw argumentError(where, 'id', `an integer from 0 to ${tokens.length - 1}`, id)
  }
  return token
}

/** @throws ArgumentError when `value` is not an integer of at least `least` */
export function requireAtLeast(where: string, name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw argumentError(where, name, `an integer of at least ${least}`, value)
  }
}
