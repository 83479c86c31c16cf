/**
 * The image memories of a set of images, computed once and kept on the host as float32, so that several passes (loss,
 * loss with other images' memories, captions) share one pass of the encoder.
 */
import type { CaptionedImage } from '../data/dataset.js'
import { loadImages } from '../data/image-loader.js'
import type { ImageError } from '../errors.js'
import { encodePixels, pixelInput } from '../models/inference.js'
import { dropFolds, type FoldCache } from '../models/mode.js'
import type { CaptionModel, ModelParams } from '../models/model.js'
import { dtypeOf } from '../models/precision.js'
import type { Device } from '../native.js'
import { createStepCache, type StepCache } from '../step-cache.js'
import { cast, type Tensor } from '../tensor.js'
import type { ImageSource } from '../train/image-source.js'

export interface EncodeOptions {
  readonly model: CaptionModel
  readonly params: ModelParams
  readonly device: Device
  readonly images: readonly CaptionedImage[]
  readonly batchSize: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress: (done: number) => void
}

export interface Encoded {
  /** Those of the images that could be decoded, in order; the source's indices are places in this list. */
  readonly images: readonly CaptionedImage[]
  readonly errors: readonly ImageError[]
  readonly source: ImageSource
}

/** Host bytes of one image's memory. */
export function memoryBytes(model: CaptionModel): number {
  return model.cells * model.encoder.channels * Float32Array.BYTES_PER_ELEMENT
}

/** Decodes and encodes images; those that cannot be decoded are left out. Throws the signal's reason. */
export async function encodeImages(options: EncodeOptions): Promise<Encoded> {
  const { model, device, images, batchSize, signal, onProgress } = options
  const elements = model.cells * model.encoder.channels
  const memories = new Float32Array(images.length * elements)
  const decoded: CaptionedImage[] = []
  const errors: ImageError[] = []
  const folds: FoldCache = new Map()
  const steps = createStepCache(device)
  let batch: Uint8Array[] = []
  let encoded = 0
  const flush = async () => {
    if (batch.length === 0) return
    memories.set(await encodeBatch(options, Buffer.concat(batch), folds, steps), encoded * elements)
    encoded += batch.length
    batch = []
    onProgress(encoded + errors.length)
  }
  const loaded = loadImages(images, ({ path }) => path, {
    ...model.config.image,
    ahead: 2 * batchSize,
    ...(signal && { signal }),
  })
  try {
    for await (const { item, pixels, error } of loaded) {
      if (error) {
        errors.push(error)
        continue
      }
      decoded.push(item)
      batch.push(pixels)
      if (batch.length === batchSize) await flush()
    }
    await flush()
  } finally {
    steps.dispose()
    dropFolds(folds)
  }
  return { images: decoded, errors, source: memorySource(model, memories) }
}

async function encodeBatch(
  { model, params }: EncodeOptions,
  pixels: Uint8Array,
  folds: FoldCache,
  steps: StepCache,
): Promise<Float32Array> {
  const memory = steps.run('encode', { pixels: pixelInput(model, pixels) }, ({ pixels }) =>
    encodePixels(model, params, pixels, folds),
  )
  const values = memory.readFloats()
  memory.release()
  return values
}

/** Memories of images from host values, [images, S C]. */
function memorySource(model: CaptionModel, memories: Float32Array): ImageSource {
  const { cells, encoder } = model
  const elements = cells * encoder.channels
  return {
    load: async (indices) => {
      const data = new Float32Array(indices.length * elements)
      for (const [row, index] of indices.entries())
        data.set(memories.subarray(index * elements, (index + 1) * elements), row * elements)
      const shape = [indices.length * cells, encoder.channels]
      return { count: indices.length, inputs: { images: { data, shape } } }
    },
    memory: ({ images }, _count, params) => cast(images as Tensor, dtypeOf(params)),
    prefetch: () => {},
  }
}
