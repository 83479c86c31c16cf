/**
 * Beam search; greedy is a search with one beam. What goes on step by step is decoding.ts, how beams are chosen the
 * kernel beamStep's.
 */
import { empty, type Tensor, tensor } from '../tensor.js'
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

/** At most `beams` captions are returned for each image. */
export interface SearchOptions extends DecodingOptions {
  /** Captions kept at each step; 1 is greedy. */
  readonly beams: number
}

/**
 * The best captions of each image, best first: finished ones, and where they are fewer than `numCaptions` the best
 * unfinished ones after them. Rows of the step are images * beams, the beams of an image side by side.
 * @throws ArgumentError for options out of range; ShapeError when the logits do not fit; CheckpointError when an image
 *   has no caption, because logits are not finite
 */
export async function searchCaptions(
  next: NextTokens,
  options: SearchOptions,
): Promise<FoundCaption[][]> {
  return await decode(next, options, () => beginSearch(options))
}

/** A search before the first position; see beam_step in binding/kernels.h. @throws ArgumentError */
export function beginSearch(options: SearchOptions): Decoding {
  const { device, images, beams, maxTokens, bos, eos, minTokens = 1, lengthPenalty = 1 } = options
  whole('beams', beams, 1, 64)
  checkDecoding(options, beams)
  const rows = images * beams
  const ownRows = Int32Array.from({ length: rows * maxTokens }, (_, i) => Math.floor(i / maxTokens))
  const ancestors = empty([rows, maxTokens], 'int32', device)
  device.kernels.copy(ancestors, tensor(ownRows, [rows, maxTokens], device))
  const state = {
    tokens: filled(bos, [rows], 'int32', device),
    scores: filled(0, [rows], 'float32', device),
    sequences: filled(0, [rows, maxTokens], 'int32', device),
    ancestors,
    finishedScores: filled(Number.NEGATIVE_INFINITY, [images, beams], 'float32', device),
    finishedSequences: filled(0, [images, beams, maxTokens], 'int32', device),
    finishedLengths: filled(0, [images, beams], 'int32', device),
    done: filled(0, [images], 'int32', device),
  }
  const forbidden = forbiddenIds(options)
  const forced = options.rules?.forced
  const adjust = logitRules(options, state.sequences)
  return {
    rowsPerImage: beams,
    state: { ...state, ...(forbidden && { forbidden }), ...(forced && { forced }) },
    choose: (logits, position) => {
      adjust(logits, position)
      device.kernels.beamStep(
        state.scores,
        state.tokens,
        state.sequences,
        state.ancestors,
        state.finishedScores,
        state.finishedSequences,
        state.finishedLengths,
        state.done,
        logits,
        forbidden,
        beams,
        position,
        eos,
        minTokens,
        lengthPenalty,
      )
    },
    results: (positions) => results(state, options, positions),
  }
}

async function results(
  state: Record<
    'scores' | 'sequences' | 'finishedScores' | 'finishedSequences' | 'finishedLengths',
    Tensor
  >,
  options: SearchOptions,
  positions: number,
): Promise<FoundCaption[][]> {
  const { images, beams, lengthPenalty = 1 } = options
  const [finishedScores, finishedSequences, finishedLengths, scores, sequences] = await Promise.all(
    [
      state.finishedScores.read(),
      state.finishedSequences.read(),
      state.finishedLengths.read(),
      state.scores.read(),
      state.sequences.read(),
    ],
  )
  return Array.from({ length: images }, (_, image) => {
    const rows = Array.from({ length: beams }, (_, beam) => image * beams + beam)
    const finished = rows.map((row) => ({
      tokens: wordsOf(finishedSequences, row, finishedLengths[row] ?? 0, options),
      score: finishedScores[row] ?? Number.NEGATIVE_INFINITY,
      finished: true,
    }))
    const unfinished = rows.map((row) => ({
      tokens: wordsOf(sequences, row, positions, options),
      score: (scores[row] ?? Number.NEGATIVE_INFINITY) / positions ** lengthPenalty,
      finished: false,
    }))
    return [...finished, ...unfinished].filter(({ score }) => score > Number.NEGATIVE_INFINITY)
  })
}
