/** The options of decoding that a user gives, checked, with the model's defaults filled in. */
import { ArgumentError, argumentError } from '../errors.js'
import type { GenerationConfig } from '../models/model-folder.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { whole } from './decoding.js'
import { lowestTemperature, type Sampling } from './sample.js'

/**
 * With `temperature`, `topK` or `topP` captions are sampled: each token is drawn by its probability. Otherwise the most
 * probable captions are searched for.
 */
export interface CaptionOptions {
  /** Captions kept at each step; 1 is greedy. */
  readonly beam?: number | undefined
  /** Most tokens of a caption, the end token included. */
  readonly maxTokens?: number | undefined
  readonly minTokens?: number | undefined
  /** Power of the length that a caption's log-probability is divided by; larger prefers longer ones. */
  readonly lengthPenalty?: number | undefined
  /** Captions returned for each image, best first: at most `beam`, or so many independent samples, at most 64. */
  readonly numCaptions?: number | undefined
  /** 0 to 100: what logits are divided by before a token is drawn. 1 when left out, 0 is greedy. */
  readonly temperature?: number | undefined
  /** Draws from so many most probable tokens; all when left out. */
  readonly topK?: number | undefined
  /** Above 0, up to 1: draws from the fewest most probable tokens whose probability reaches it. */
  readonly topP?: number | undefined
  /**
   * Of the draws, an integer from 0 to 2^53 - 1; 0 when left out. The same seed gives the same captions, whatever the
   * size of batches: each image's draws depend on it and on the image's place in the call. A search ignores it.
   */
  readonly seed?: number | undefined
}

/** @throws ArgumentError naming the option, its range and what came */
export function decodingOptions(
  options: CaptionOptions,
  defaults: GenerationConfig,
  longest: number,
  tokenizer: Tokenizer,
) {
  const sampling = samplingOptions(options)
  const beams = whole('beam', options.beam ?? (sampling ? 1 : defaults.beam), 1, 64)
  if (sampling && beams > 1)
    throw new ArgumentError(
      `caption: beam ${beams} searches for the most probable captions, temperature, topK and topP draw random ones. ` +
        'Leave out one or the other; numCaptions gives several samples',
    )
  const maxTokens = whole(
    'maxTokens',
    options.maxTokens ?? Math.min(defaults.maxTokens, longest),
    1,
    longest,
  )
  const minTokens = whole('minTokens', options.minTokens ?? defaults.minTokens, 1, maxTokens)
  const numCaptions = whole('numCaptions', options.numCaptions ?? 1, 1, sampling ? 64 : beams)
  const lengthPenalty = options.lengthPenalty ?? defaults.lengthPenalty
  if (!(lengthPenalty >= 0 && lengthPenalty <= 10))
    throw argumentError('caption', 'lengthPenalty', 'a number from 0 to 10', lengthPenalty)
  const { bos, eos, pad, unk } = tokenizer
  return {
    sampling,
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

/** Undefined when captions are to be searched for. */
function samplingOptions(options: CaptionOptions): Sampling | undefined {
  const { temperature = 1, topK, topP = 1 } = options
  if (options.temperature === undefined && topK === undefined && options.topP === undefined)
    return undefined
  if (!(temperature >= 0 && temperature <= 100))
    throw argumentError('caption', 'temperature', 'a number from 0 to 100', temperature)
  if (topK !== undefined) whole('topK', topK, 1, 2 ** 31 - 1)
  if (temperature < lowestTemperature) return { temperature: 1, topK: 1, topP }
  return { temperature, topK: topK ?? 0, topP }
}
