/**
 * Sampling: each token is drawn by its probability. What goes on step by step is decoding.ts, the draw the kernel
 * sampleStep's. A caption depends on its own seed and logits alone, never on the others of a batch.
 */
import { argumentError } from '../errors.js'
import { philox } from '../random.js'
import { type Tensor, tensor } from '../tensor.js'
import {
  checkDecoding,
  type Decoding,
  type DecodingOptions,
  decode,
  type FoundCaption,
  filled,
  forbiddenIds,
  type NextTokens,
  whole,
  wordsOf,
} from './decoding.js'
import { logitRules } from './rules.js'

/** How tokens are drawn. */
export interface Sampling {
  /** What logits are divided by, at least `lowestTemperature`: below 1 probable tokens gain, above 1 they lose. */
  readonly temperature: number
  /** Only so many most probable tokens; 0: all. */
  readonly topK: number
  /** Of these only the fewest most probable whose probability reaches it, above 0; 1: all. */
  readonly topP: number
  /**
   * Of these only the fewest most typical ones whose probability reaches it, above 0; 1 when left out: all. A token is
   * typical whose -log probability is near the entropy. Source: Meister et al. 2022, arXiv:2202.00666.
   */
  readonly typicalP?: number
  /** Of these only so many most typical ones; 0 when left out: all. */
  readonly mostTypical?: number
}

/** Below it only the most probable token is left. */
export const lowestTemperature = 1e-6

/** `numCaptions` samples of each image are made. */
export interface SampleOptions extends DecodingOptions, Sampling {
  /** An integer from 0 to 2^53 - 1. */
  readonly seed: number
}

/**
 * Independent samples for each image, the most probable first. Rows of the step are images * numCaptions, the samples
 * of an image side by side. Scores are those of the model itself, with the rules: temperature 1, nothing left out.
 * @throws ArgumentError for options out of range; ShapeError when the logits do not fit; CheckpointError when an image
 *   has no caption, because logits are not finite
 */
export async function sampleCaptions(
  next: NextTokens,
  options: SampleOptions,
): Promise<FoundCaption[][]> {
  const { images, numCaptions = 1, seed, device } = options
  const places = Array.from({ length: images }, (_, image) => image)
  return await decode(next, options, () => {
    const seeds = sampleSeeds(seed, places, numCaptions)
    return beginSample(options, tensor(seeds, [seeds.length / 2, 2], device))
  })
}

/**
 * The seeds [images * samples * 2] of sampleStep: two words for each sample of each image. They depend on nothing but
 * the request's seed, the image's place in the request and the sample's number.
 * @param seed an integer from 0 to 2^53 - 1 @param places of the images
 * @throws ArgumentError for any other seed
 */
export function sampleSeeds(seed: number, places: readonly number[], samples: number): Int32Array {
  whole('seed', seed, 0, Number.MAX_SAFE_INTEGER)
  const words: [number, number] = [0, 0]
  return Int32Array.from(
    places.flatMap((place) => {
      philox(words, seed, Math.floor(seed / 2 ** 32), place)
      const [low, high] = words
      return Array.from({ length: samples }, (_, sample) => {
        philox(words, low, high, sample)
        return [words[0] | 0, words[1] | 0]
      }).flat()
    }),
  )
}

/**
 * Samples before the first position; see sample_step in binding/kernels.h.
 * @param seeds int32 [R, 2], of sampleSeeds; stays the caller's
 * @throws ArgumentError
 */
export function beginSample(options: DecodingOptions & Sampling, seeds: Tensor): Decoding {
  checkDecoding(options, 64)
  const { device, images, maxTokens, bos, eos, minTokens = 1, numCaptions = 1 } = options
  const { temperature, topK, topP, typicalP = 1, mostTypical = 0 } = options
  whole('topK', topK, 0, 2 ** 31 - 1)
  whole('mostTypical', mostTypical, 0, 2 ** 31 - 1)
  for (const [name, share] of Object.entries({ topP, typicalP }))
    if (!(share > 0 && share <= 1))
      throw argumentError('caption', name, 'a number above 0, up to 1', share)
  if (!(temperature >= lowestTemperature && temperature < Number.POSITIVE_INFINITY))
    throw argumentError(
      'caption',
      'temperature',
      `finite and from ${lowestTemperature}`,
      temperature,
    )
  const rows = images * numCaptions
  const state = {
    tokens: filled(bos, [rows], 'int32', device),
    sequences: filled(0, [rows, maxTokens], 'int32', device),
    scores: filled(0, [rows], 'float32', device),
    lengths: filled(0, [rows], 'int32', device),
    done: filled(0, [rows], 'int32', device),
    seeds,
  }
  const forbidden = forbiddenIds(options)
  const forced = options.rules?.forced
  const adjust = logitRules(options, state.sequences)
  return {
    rowsPerImage: numCaptions,
    state: { ...state, ...(forbidden && { forbidden }), ...(forced && { forced }) },
    choose: (logits, position) => {
      adjust(logits, position)
      device.kernels.sampleStep(
        state.tokens,
        state.sequences,
        state.scores,
        state.lengths,
        state.done,
        logits,
        seeds,
        forbidden,
        position,
        eos,
        minTokens,
        temperature,
        topK,
        topP,
        typicalP,
        mostTypical,
      )
    },
    results: () => results(state, options),
  }
}

async function results(
  state: Record<'sequences' | 'scores' | 'lengths' | 'done', Tensor>,
  options: DecodingOptions,
): Promise<FoundCaption[][]> {
  const { images, numCaptions = 1, lengthPenalty = 1 } = options
  const [sequences, scores, lengths, done] = await Promise.all([
    state.sequences.read(),
    state.scores.read(),
    state.lengths.read(),
    state.done.read(),
  ])
  return Array.from({ length: images }, (_, image) =>
    Array.from({ length: numCaptions }, (_, sample) => {
      const row = image * numCaptions + sample
      const length = lengths[row] ?? 0
      const finished = done[row] === 1
      return {
        tokens: wordsOf(sequences, row, length, options),
        score: (scores[row] ?? Number.NaN) / (length + (finished ? 1 : 0)) ** lengthPenalty,
        finished,
      }
    })
      .filter(({ score }) => score > Number.NEGATIVE_INFINITY)
      .sort((a, b) => b.score - a.score),
  )
}
