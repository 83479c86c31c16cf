/**
 * From images and their captions to batches: which images come when (a seeded permutation a epoch, so that a place in
 * the order is one number), and their captions packed one after another, without padding.
 */
import { internalError } from '../errors.js'
import type { PackedCaptions } from '../models/decoders/decoder.js'
import type { Device } from '../native.js'
import { createRandom, shuffled } from '../random.js'
import { type DeviceInputs, upload } from '../step-cache.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import type { CaptionedImage } from './dataset.js'

/** Captions of one image as ids, without begin and end; at least one. */
export type TokenizedCaptions = readonly (readonly number[])[]

/**
 * Encodes every caption once. Those of more than `maxTokens` - 1 words, beside which the end token does not fit, are cut,
 * or left out where the image has others.
 */
export function tokenizeCaptions(
  images: readonly CaptionedImage[],
  tokenizer: Tokenizer,
  maxTokens: number,
  longCaptions: 'cut' | 'drop' = 'cut',
): TokenizedCaptions[] {
  return images.map(({ captions }) => {
    const encoded = captions.map((caption) => tokenizer.encode(caption))
    const fitting = encoded.filter((ids) => ids.length < maxTokens)
    return longCaptions === 'drop' && fitting.length > 0
      ? fitting
      : encoded.map((ids) => ids.slice(0, maxTokens - 1))
  })
}

/** Indices of the images of step `step`; each epoch sees every image once, in an order of its own. */
export function batchIndices(
  step: number,
  images: number,
  batchSize: number,
  seed: number,
): number[] {
  const perEpoch = stepsPerEpoch(images, batchSize)
  const epoch = Math.floor(step / perEpoch)
  const order = epochOrder(images, seed, epoch)
  const start = (step % perEpoch) * batchSize
  return Array.from(order.subarray(start, start + batchSize))
}

export function stepsPerEpoch(images: number, batchSize: number): number {
  return Math.ceil(images / batchSize)
}

let last: { key: string; order: Uint32Array } | undefined

function epochOrder(images: number, seed: number, epoch: number): Uint32Array {
  const key = `${images} ${seed} ${epoch}`
  if (last?.key !== key) last = { key, order: shuffled(images, seed * 65_537 + epoch) }
  return last.order
}

/**
 * Chooses `count` captions of each image (all: every caption; images with fewer repeat theirs), so that every image
 * of a batch has the same number. The choice depends on seed and step alone.
 */
export function chooseCaptions(
  captions: readonly TokenizedCaptions[],
  indices: readonly number[],
  count: number | 'all',
  seed: number,
): TokenizedCaptions[] {
  const chosen = indices.map((i) => captions[i] ?? [])
  const wanted = count === 'all' ? Math.max(...chosen.map((c) => c.length)) : count
  const random = createRandom(seed)
  return chosen.map((all) => {
    if (all.length === wanted) return all
    const start = count === 'all' ? 0 : Math.floor(random() * all.length)
    return Array.from({ length: wanted }, (_, j) => all[(start + j) % all.length] ?? [])
  })
}

/** Host side of PackedCaptions. */
export interface HostCaptions {
  readonly tokens: Int32Array
  readonly positions: Int32Array
  readonly targets: Int32Array
  readonly offsets: Int32Array
  /** What the loss of each token is multiplied by; all 1 when absent. */
  readonly weights?: Float32Array
  readonly longest: number
  readonly captionsPerImage: number
}

/** Packs the captions of a batch: begin + words to predict words + end. Every image must have equally many. */
export function packCaptions(
  batch: readonly TokenizedCaptions[],
  tokenizer: Pick<Tokenizer, 'bos' | 'eos' | 'unk'>,
): HostCaptions {
  const captionsPerImage = batch[0]?.length ?? 0
  if (captionsPerImage === 0 || batch.some((c) => c.length !== captionsPerImage))
    throw internalError('packCaptions: images with different numbers of captions')
  const captions = batch.flat()
  const total = captions.reduce((sum, ids) => sum + ids.length + 1, 0)
  const tokens = new Int32Array(total)
  const positions = new Int32Array(total)
  const targets = new Int32Array(total)
  const offsets = new Int32Array(captions.length + 1)
  let at = 0
  for (const [row, ids] of captions.entries()) {
    for (let i = 0; i <= ids.length; i++, at++) {
      tokens[at] = i === 0 ? tokenizer.bos : (ids[i - 1] ?? tokenizer.unk)
      targets[at] = ids[i] ?? tokenizer.eos
      positions[at] = i
    }
    offsets[row + 1] = at
  }
  const longest = captions.reduce((most, ids) => Math.max(most, ids.length + 1), 0)
  return { tokens, positions, targets, offsets, longest, captionsPerImage }
}

/** The tensors of packed captions. @param denominator tokens that the loss is divided by */
export function captionInputs(host: HostCaptions, denominator: number) {
  const whole = <T extends Int32Array | Float32Array>(data: T) => ({ data, shape: [data.length] })
  return {
    tokens: whole(host.tokens),
    positions: whole(host.positions),
    targets: whole(host.targets),
    offsets: whole(host.offsets),
    weights: host.weights && whole(host.weights),
    denominator: { data: Float32Array.of(denominator), shape: [1] },
  }
}

/** Packed captions of their tensors and of what kernels must know of them on the host. */
export function deviceCaptions(
  inputs: DeviceInputs<ReturnType<typeof captionInputs>>,
  { longest, captionsPerImage }: HostCaptions,
): PackedCaptions {
  return { ...inputs, longest, captionsPerImage }
}

/** Puts packed captions on a device, with a loss that is divided by their number of tokens. */
export function uploadCaptions(host: HostCaptions, device: Device): PackedCaptions {
  return deviceCaptions(upload(captionInputs(host, host.tokens.length), device), host)
}
