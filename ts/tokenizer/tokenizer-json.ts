/**
 * tokenizer.json as text: write a tokenizer, read one of either kind. What the file holds, word.ts,
 * byte-pair.ts and tokenizer-file.ts say.
 */

import { CheckpointError } from '../errors.js'
import { bytePairTokenizerFromJSON } from './byte-pair.js'
import type { Tokenizer } from './tokenizer.js'
import { advice, readFileParts } from './tokenizer-file.js'
import { wordTokenizerFromJSON } from './word.js'

/** The text of tokenizer.json; the same tokenizer gives the same bytes. */
export function saveTokenizer(tokenizer: Tokenizer): string {
  return `${JSON.stringify(tokenizer.toJSON(), null, 2)}\n`
}

/**
 * The tokenizer that a tokenizer.json describes.
 *
 * @param json  the file's text, or its parsed content
 * @param file  its name, for messages
 * @throws CheckpointError naming the key when the file is damaged or is not one that captioneer wrote
 */
export function loadTokenizer(json: unknown, file = 'tokenizer.json'): Tokenizer {
  const content = typeof json === 'string' ? parse(json, file) : json
  return readFileParts(content, file).model.type === 'WordLevel'
    ? wordTokenizerFromJSON(content, file)
    : bytePairTokenizerFromJSON(content, file)
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new CheckpointError(`${file}: not JSON: ${(error as Error).message}. ${advice}`, {
      cause: error,
    })
  }
}
