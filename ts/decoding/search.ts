/**
 * Beam search over a next-token function; greedy is a search with one beam. Tokens, scores and ancestors stay on the
 * device, so that steps are queued without waiting. What a step computes is the model's affair; how beams are chosen
 * is the kernel beamStep's.
 */
import { argumentError, CheckpointError, ShapeError, shapeText } from '../errors.js'
import type { Device } from '../native.js'
import { empty, scope, type Tensor, tensor, tensorsIn, unscoped } from '../tensor.js'

/**
 * Logits [R, V] of what follows after `tokens` int32 [R] were fed at `position`. Row r's token at an earlier position p
 * was fed in row ancestors[r, p] (int32 [R, T]): that is where its keys and values are.
 */
export type NextTokens = (tokens: Tensor, position: number, ancestors: Tensor) => Tensor

export interface SearchOptions {
  readonly device: Device
  readonly images: number
  /** Captions kept at each step; 1 is greedy. */
  readonly beams: number
  /** Most tokens of a caption, the end token included. */
  readonly maxTokens: number
  /** Fewest words before the end token; 1 unless given. */
  readonly minTokens?: number
  /** A caption's score is its log-probability / length^lengthPenalty; 1 unless given. */
  readonly lengthPenalty?: number
  /** Captions returned for each image, at most `beams`; 1 unless given. */
  readonly numCaptions?: number
  /** The token fed first. */
  readonly bos: number
  /** The token that ends a caption. */
  readonly eos: number
  /** Tokens that never appear. */
  readonly forbidden?: readonly number[]
}

export interface FoundCaption {
  /** Words only: neither the begin nor the end token. */
  readonly tokens: number[]
  /** Log-probability / length^lengthPenalty in nats; the length counts the end token. */
  readonly score: number
  /** Whether the end token came within maxTokens. */
  readonly finished: boolean
}

/** Positions queued before the host looks whether all captions have ended. */
export const stretch = 4

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
  const state = unscoped(() => beginSearch(options))
  try {
    return await finishSearch(state, options, (from) => queueStretch(next, state, options, from))
  } finally {
    for (const t of tensorsIn(state)) t.release()
  }
}

/** What the kernel keeps; see beam_step in binding/kernels.h. */
export type SearchState = ReturnType<typeof beginSearch>

/** The state before the first position. Only kernels set what a search changes, so that a graph can begin anew. */
export function beginSearch(options: SearchOptions) {
  check(options)
  const { device, images, beams, maxTokens, bos, forbidden } = options
  const rows = images * beams
  const filled = (value: number, shape: readonly number[], dtype: 'float32' | 'int32') => {
    const out = empty(shape, dtype, device)
    device.kernels.fill(out, value)
    return out
  }
  const ownRows = Int32Array.from({ length: rows * maxTokens }, (_, i) => Math.floor(i / maxTokens))
  const ancestors = empty([rows, maxTokens], 'int32', device)
  device.kernels.copy(ancestors, tensor(ownRows, [rows, maxTokens], device))
  return {
    tokens: filled(bos, [rows], 'int32'),
    scores: filled(0, [rows], 'float32'),
    sequences: filled(0, [rows, maxTokens], 'int32'),
    ancestors,
    finishedScores: filled(Number.NEGATIVE_INFINITY, [images, beams], 'float32'),
    finishedSequences: filled(0, [images, beams, maxTokens], 'int32'),
    finishedLengths: filled(0, [images, beams], 'int32'),
    done: filled(0, [images], 'int32'),
    forbidden: forbidden?.length
      ? tensor(Int32Array.from(forbidden), [forbidden.length], device)
      : undefined,
  }
}

/** Queues the positions from `from` on, up to a stretch of them. */
export function queueStretch(
  next: NextTokens,
  state: SearchState,
  options: SearchOptions,
  from: number,
): void {
  const { device, beams, eos, minTokens = 1, lengthPenalty = 1 } = options
  const end = Math.min(from + stretch, options.maxTokens)
  for (let position = from; position < end; position++)
    scope(() => {
      const logits = next(state.tokens, position, state.ancestors)
      checkLogits(logits, options)
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
        state.forbidden,
        beams,
        position,
        eos,
        minTokens,
        lengthPenalty,
      )
    })
}

/**
 * Goes on from the state before the first position until every image is done. The state stays the caller's.
 * @param queue queues the stretch that begins at a position
 */
export async function finishSearch(
  state: SearchState,
  options: SearchOptions,
  queue: (from: number) => void,
): Promise<FoundCaption[][]> {
  for (let from = 0; from < options.maxTokens; from += stretch) {
    queue(from)
    const last = from + stretch >= options.maxTokens
    if (!last && (await state.done.read()).every((done) => done === 1)) break
  }
  return results(state, options)
}

async function results(state: SearchState, options: SearchOptions): Promise<FoundCaption[][]> {
  const { images, beams, maxTokens, numCaptions = 1, lengthPenalty = 1 } = options
  const [finishedScores, finishedSequences, finishedLengths, scores, sequences] = await Promise.all(
    [
      state.finishedScores.read(),
      state.finishedSequences.read(),
      state.finishedLengths.read(),
      state.scores.read(),
      state.sequences.read(),
    ],
  )
  const words = (from: typeof sequences, row: number, length: number) =>
    Array.from(from.subarray(row * maxTokens, row * maxTokens + length))
  return Array.from({ length: images }, (_, image) => {
    const rows = Array.from({ length: beams }, (_, beam) => image * beams + beam)
    const finished = rows.map((row) => ({
      tokens: words(finishedSequences, row, finishedLengths[row] ?? 0),
      score: finishedScores[row] ?? Number.NEGATIVE_INFINITY,
      finished: true,
    }))
    const unfinished = rows.map((row) => ({
      tokens: words(sequences, row, maxTokens),
      score: (scores[row] ?? Number.NEGATIVE_INFINITY) / maxTokens ** lengthPenalty,
      finished: false,
    }))
    const found = [...finished, ...unfinished].filter(
      ({ score }) => score > Number.NEGATIVE_INFINITY,
    )
    if (found.length === 0)
      throw new CheckpointError(
        `caption: image ${image + 1} of ${images} has no possible caption: the model's logits are not finite or every ` +
          'token is forbidden. Its weights may be damaged',
      )
    return found.slice(0, numCaptions)
  })
}

function check(options: SearchOptions): void {
  const { images, beams, maxTokens, minTokens = 1, numCaptions = 1, lengthPenalty = 1 } = options
  whole('images', images, 1, 2 ** 20)
  whole('beams', beams, 1, 64)
  whole('maxTokens', maxTokens, 1, 512)
  whole('minTokens', minTokens, 1, maxTokens)
  whole('numCaptions', numCaptions, 1, beams)
  for (const id of [options.bos, options.eos, ...(options.forbidden ?? [])])
    whole('token ids', id, 0, 2 ** 31 - 1)
  if (!Number.isFinite(lengthPenalty))
    throw argumentError('caption', 'lengthPenalty', 'a finite number', lengthPenalty)
}

function whole(name: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high)
    throw argumentError('caption', name, `an integer from ${low} to ${high}`, value)
}

function checkLogits({ shape, dtype }: Tensor, { images, beams, eos }: SearchOptions): void {
  const [rows, vocabulary = 0] = shape
  if (dtype === 'float32' && shape.length === 2 && rows === images * beams && vocabulary > eos)
    return
  throw new ShapeError(
    `caption: the model gave ${shapeText(shape)} ${dtype} as logits; expected float32 [${images * beams}, V] ` +
      `with V above the end token ${eos}`,
  )
}
