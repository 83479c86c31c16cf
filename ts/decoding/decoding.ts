/**
 * Captions token by token over a next-token function, for all images at once. What is kept stays on the device, so that
 * steps are queued without waiting. What a step computes is the model's affair; how its tokens are chosen that of
 * search.ts and sample.ts.
 */
import { argumentError, CheckpointError, ShapeError, shapeText } from '../errors.js'
import type { Device } from '../native.js'
import {
  empty,
  type HostArray,
  scope,
  type Tensor,
  tensor,
  tensorsIn,
  unscoped,
} from '../tensor.js'
import type { LogitRules } from './rules.js'

/**
 * Logits [R, V] of what follows after `tokens` int32 [R] were fed at `position`; rules may change them. Row r's token at
 * an earlier position p was fed in row ancestors[r, p] (int32 [R, T]), without ancestors in row r: that is where its keys
 * and values are.
 */
export type NextTokens = (tokens: Tensor, position: number, ancestors: Tensor | undefined) => Tensor

/** Options of every way to choose tokens. */
export interface DecodingOptions {
  readonly device: Device
  readonly images: number
  /** Most tokens of a caption, the end token included. */
  readonly maxTokens: number
  /** Fewest words before the end token; 1 unless given. */
  readonly minTokens?: number
  /** A caption's score is its log-probability / length^lengthPenalty; 1 unless given. */
  readonly lengthPenalty?: number
  /** Captions returned for each image; 1 unless given. */
  readonly numCaptions?: number
  /** The token fed first. */
  readonly bos: number
  /** The token that ends a caption. */
  readonly eos: number
  /** Tokens that never appear. */
  readonly forbidden?: readonly number[]
  /** Rules that change logits before a token is chosen. */
  readonly rules?: LogitRules
}

export interface FoundCaption {
  /** Words only: neither the begin nor the end token. */
  readonly tokens: number[]
  /** Log-probability / length^lengthPenalty in nats; the length counts the end token. */
  readonly score: number
  /** Whether the end token came within maxTokens. */
  readonly finished: boolean
}

/** Captions on their way through the positions. Only kernels change the tensors, so that a graph can begin anew. */
export interface Decoding {
  /** Rows of the step are images * rowsPerImage, those of an image side by side. */
  readonly rowsPerImage: number
  readonly state: {
    /** int32 [R]: next to feed. */
    readonly tokens: Tensor
    readonly ancestors?: Tensor
    /** int32: all 1 when no caption can change. */
    readonly done: Tensor
  }
  /** Queues the choice of the tokens that follow those fed at `position`. */
  readonly choose: (logits: Tensor, position: number) => void
  /** Captions of each image after so many positions, best first; none where nothing was possible. */
  readonly results: (positions: number) => Promise<FoundCaption[][]>
}

/** Positions queued before the host looks whether all captions have ended. */
export const stretch = 4

/** Queues the positions from `from` on, up to `count` of them. @throws ShapeError when the logits do not fit */
export function queueStretch(
  next: NextTokens,
  { state, rowsPerImage, choose }: Decoding,
  options: DecodingOptions,
  from: number,
  count = stretch,
): void {
  const end = Math.min(from + count, options.maxTokens)
  for (let position = from; position < end; position++)
    scope(() => {
      const logits = next(state.tokens, position, state.ancestors)
      checkLogits(logits, options.images * rowsPerImage, options.eos)
      choose(logits, position)
    })
}

/**
 * Goes on from before the first position until every caption has ended; gives the positions decoded after each stretch,
 * and whether it was the last one. The tensors stay the caller's.
 * @param queue queues the stretch that begins at a position
 */
export async function* decodeStretches(
  { state }: Decoding,
  { maxTokens }: DecodingOptions,
  queue: (from: number) => void,
  positions = stretch,
): AsyncGenerator<{ readonly decoded: number; readonly ended: boolean }> {
  for (let from = 0, ended = false; !ended; from += positions) {
    queue(from)
    const decoded = Math.min(from + positions, maxTokens)
    ended = decoded === maxTokens || (await state.done.read()).every((done) => done === 1)
    yield { decoded, ended }
  }
}

/** All stretches, and the captions. @throws CheckpointError when an image has no caption, because logits are not finite */
export async function finishDecoding(
  decoding: Decoding,
  options: DecodingOptions,
  queue: (from: number) => void,
): Promise<FoundCaption[][]> {
  let positions = 0
  for await (const { decoded } of decodeStretches(decoding, options, queue)) positions = decoded
  return await foundCaptions(decoding, options, positions)
}

/** The captions after so many positions. @throws CheckpointError when an image has none, because logits are not finite */
export async function foundCaptions(
  { results }: Decoding,
  { numCaptions = 1 }: DecodingOptions,
  positions: number,
): Promise<FoundCaption[][]> {
  const found = await results(positions)
  for (const [image, { length }] of found.entries())
    if (length === 0)
      throw new CheckpointError(
        `caption: image ${image + 1} of ${found.length} has no possible caption: the model's logits are not finite or ` +
          'every token is forbidden. Its weights may be damaged',
      )
  return found.map((captions) => captions.slice(0, numCaptions))
}

/** The whole of it, from `begin` to the captions; frees what `begin` made. */
export async function decode(
  next: NextTokens,
  options: DecodingOptions,
  begin: () => Decoding,
): Promise<FoundCaption[][]> {
  const decoding = unscoped(begin)
  try {
    return await finishDecoding(decoding, options, (from) =>
      queueStretch(next, decoding, options, from),
    )
  } finally {
    for (const t of tensorsIn(decoding)) t.release()
  }
}

/** A tensor that a kernel fills. */
export function filled(
  value: number,
  shape: readonly number[],
  dtype: 'float32' | 'int32',
  device: Device,
): Tensor {
  const out = empty(shape, dtype, device)
  device.kernels.fill(out, value)
  return out
}

/** int32 [n]: the forbidden ids, where there are any. */
export function forbiddenIds({ forbidden, device }: DecodingOptions): Tensor | undefined {
  if (!forbidden?.length) return undefined
  return tensor(Int32Array.from(forbidden), [forbidden.length], device)
}

/** The first `length` words of a row of [rows, maxTokens]. */
export function wordsOf(
  sequences: HostArray,
  row: number,
  length: number,
  { maxTokens }: DecodingOptions,
): number[] {
  return Array.from(sequences.subarray(row * maxTokens, row * maxTokens + length))
}

/** @throws ArgumentError naming the option */
export function checkDecoding(options: DecodingOptions, mostCaptions: number): void {
  const { images, maxTokens, minTokens = 1, numCaptions = 1, lengthPenalty = 1 } = options
  whole('images', images, 1, 2 ** 20)
  whole('maxTokens', maxTokens, 1, 512)
  whole('minTokens', minTokens, 1, maxTokens)
  whole('numCaptions', numCaptions, 1, mostCaptions)
  for (const id of [options.bos, options.eos, ...(options.forbidden ?? [])])
    whole('token ids', id, 0, 2 ** 31 - 1)
  if (!Number.isFinite(lengthPenalty))
    throw argumentError('caption', 'lengthPenalty', 'a finite number', lengthPenalty)
}

/** @throws ArgumentError unless `value` is an integer from `low` to `high` */
export function whole(name: string, value: number, low: number, high: number): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value
  throw argumentError('caption', name, `an integer from ${low} to ${high}`, value)
}

function checkLogits({ shape, dtype }: Tensor, rows: number, eos: number): void {
  const [count, vocabulary = 0] = shape
  if (dtype === 'float32' && shape.length === 2 && count === rows && vocabulary > eos) return
  throw new ShapeError(
    `caption: the model gave ${shapeText(shape)} ${dtype} as logits; expected float32 [${rows}, V] ` +
      `with V above the end token ${eos}`,
  )
}
