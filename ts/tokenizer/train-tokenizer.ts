/** The tokenizer that a training config asks for. The two kinds are word.ts and byte-pair.ts. */
import { argumentError } from '../errors.js'
import { trainBytePairTokenizer } from './byte-pair.js'
import type { Normalization } from './normalize.js'
import type { Tokenizer } from './tokenizer.js'
import { trainWordTokenizer } from './word.js'

/** The section `tokenizer` of a training config. */
export interface TokenizerSettings {
  readonly kind: 'word' | 'byte-pair'
  readonly normalization: Normalization
  readonly splitOn: string
  readonly clean: boolean
  readonly minCount: number
  readonly maxSize: number
}

/**
 * @throws ArgumentError for settings that a byte-pair tokenizer has no use for
 * @throws DataError when no word occurs minCount times
 */
export function trainTokenizer(
  captions: readonly string[],
  settings: TokenizerSettings,
): Tokenizer {
  const { kind, normalization, clean, minCount, maxSize } = settings
  if (kind === 'word') return trainWordTokenizer(captions, settings)
  const reason = 'with kind "byte-pair", which keeps all text as it is'
  if (normalization !== 'ptb')
    throw argumentError('config', 'tokenizer.normalization', `left out ${reason}`, normalization)
  if (clean) throw argumentError('config', 'tokenizer.clean', `false ${reason}`, clean)
  return trainBytePairTokenizer(captions, { vocabularySize: maxSize, minCount })
}
