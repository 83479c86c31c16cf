/** The options of decoding that a user gives, checked, with the model's defaults filled in. */
import { argumentError } from '../errors.js'
import type { GenerationConfig } from '../models/model-folder.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'

export interface CaptionOptions {
  /** Captions kept at each step; 1 is greedy. */
  readonly beam?: number | undefined
  /** Most tokens of a caption, the end token included. */
  readonly maxTokens?: number | undefined
  readonly minTokens?: number | undefined
  /** Power of the length that a caption's log-probability is divided by; larger prefers longer ones. */
  readonly lengthPenalty?: number | undefined
  /** Captions returned for each image, at most `beam`. */
  readonly numCaptions?: number | undefined
}

/** @throws ArgumentError naming the option, its range and what came */
export function searchOptions(
  options: CaptionOptions,
  defaults: GenerationConfig,
  longest: number,
  tokenizer: Tokenizer,
) {
  const beams = whole('beam', options.beam ?? defaults.beam, 1, 64)
  const maxTokens = whole(
    'maxTokens',
    options.maxTokens ?? Math.min(defaults.maxTokens, longest),
    1,
    longest,
  )
  const minTokens = whole('minTokens', options.minTokens ?? defaults.minTokens, 1, maxTokens)
  const numCaptions = whole('numCaptions', options.numCaptions ?? 1, 1, beams)
  const lengthPenalty = options.lengthPenalty ?? defaults.lengthPenalty
  if (!(lengthPenalty >= 0 && lengthPenalty <= 10))
    throw argumentError('caption', 'lengthPenalty', 'a number from 0 to 10', lengthPenalty)
  const { bos, eos, pad, unk } = tokenizer
  return {
    beams,
    maxTokens,
    minTokens,
    numCaptions,
    lengthPenalty,
    bos,
    eos,
    forbidden: [pad, bos, unk],
  }
}

function whole(name: string, value: number, low: number, high: number): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value
  throw argumentError('caption', name, `an integer from ${low} to ${high}`, value)
}
