/** The words that a caption is to begin with, as tokens. */
import { ArgumentError, printable } from '../errors.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'

/**
 * The tokens of a text that captions begin with; none for an empty one.
 * @param maxTokens most tokens of a caption, of which at least one is left
 * @throws ArgumentError naming the words that the model does not know, or when nothing is left
 */
export function prefixTokens(text: string, tokenizer: Tokenizer, maxTokens: number): number[] {
  const tokens = tokenizer.encode(text.trim())
  const isUnknown = (words: string) => tokenizer.encode(words).includes(tokenizer.unk)
  if (tokens.includes(tokenizer.unk)) {
    const unknown = text.split(/\s+/).filter(isUnknown)
    const words = unknown.length > 0 ? unknown : [text]
    throw new ArgumentError(
      `caption: expected a prefix of words that the model knows, received ${printable(text)}: ` +
        `${words.map((word) => JSON.stringify(word)).join(', ')} ${words.length > 1 ? 'are' : 'is'} not in its vocabulary`,
    )
  }
  if (tokens.length >= maxTokens)
    throw new ArgumentError(
      `caption: expected a prefix of fewer tokens than maxTokens (${maxTokens}), received ${printable(text)}, ` +
        `which has ${tokens.length}. Shorten it or raise maxTokens`,
    )
  return tokens
}
