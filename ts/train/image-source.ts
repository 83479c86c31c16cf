/**
 * Where a step's image memory comes from: pixels through the encoder, cached features, or nothing (text-only).
 * Loading happens on the host, ahead of time; `memory` queues device work.
 */
import type { CaptionedImage } from '../data/dataset.js'
import type { FeatureCache } from '../data/feature-cache.js'
import type { PixelCache } from '../data/pixel-cache.js'
import { ImageError } from '../errors.js'
import {
  type ImageInputs,
  type LoadedImages,
  normalizedPixels,
  pixelInput,
} from '../models/inference.js'
import type { Mode } from '../models/mode.js'
import type { CaptionModel, ModelParams } from '../models/model.js'
import { dtypeOf } from '../models/precision.js'
import { createRandom } from '../random.js'
import type { DeviceInputs } from '../step-cache.js'
import { cast, scope, type Tensor } from '../tensor.js'

export interface ImageSource {
  /** @param augmentSeed draws crops and mirrors; absent: images as they are */
  load(indices: readonly number[], augmentSeed?: number): Promise<LoadedImages>
  /** Image memory [B S, C] of `count` images; queues kernels only, so that it can be captured. */
  memory(inputs: DeviceInputs<ImageInputs>, count: number, params: ModelParams, mode: Mode): Tensor
  /** Starts loading images that will be asked for. */
  prefetch(indices: readonly number[]): void
}

export interface Augmentation {
  readonly flip: boolean
  readonly minCropArea: number
}

/** Pixels of `images`, through the encoder. An image that cannot be decoded is grey, and told once. */
export function pixelSource(
  model: CaptionModel,
  images: readonly CaptionedImage[],
  cache: PixelCache,
  augmentation: Augmentation,
  onBroken: (image: CaptionedImage, error: ImageError) => void,
): ImageSource {
  const { size } = model.config.image
  const broken = new Set<string>()
  const pixels = async (index: number): Promise<Uint8Array> => {
    const image = images[index] as CaptionedImage
    try {
      return await cache.get(image)
    } catch (error) {
      if (!(error instanceof ImageError)) throw error
      if (!broken.has(image.path)) onBroken(image, error)
      broken.add(image.path)
      return new Uint8Array(size * size * 3).fill(127)
    }
  }
  const augments = augmentation.flip || augmentation.minCropArea < 1
  return {
    async load(indices, augmentSeed) {
      const count = indices.length
      const data = Buffer.concat(await Promise.all(indices.map(pixels)))
      const boxes =
        augmentSeed === undefined || !augments
          ? undefined
          : { data: randomBoxes(count, size, augmentation, augmentSeed), shape: [count, 5] }
      return { count, inputs: { images: pixelInput(model, data), boxes } }
    },
    memory: ({ images, boxes }, _count, params, mode) =>
      scope(() =>
        model.encode(
          params,
          normalizedPixels(model, images as Tensor, dtypeOf(params), boxes),
          mode,
        ),
      ),
    prefetch: (indices) => {
      cache.prefetch(indices.map((i) => images[i] as CaptionedImage))
    },
  }
}

/** Features that a frozen encoder gave before. */
export function featureSource(model: CaptionModel, cache: FeatureCache): ImageSource {
  return {
    load: async (indices) => {
      const shape = [indices.length * model.cells, model.encoder.channels]
      const images = { data: await cache.load(indices), shape }
      return { count: indices.length, inputs: { images } }
    },
    memory: ({ images }, _count, params) => cast(images as Tensor, dtypeOf(params)),
    prefetch: () => {},
  }
}

/** No image: what the text-only baseline sees. */
export function noImageSource(model: CaptionModel): ImageSource {
  return {
    load: async (indices) => ({ count: indices.length, inputs: {} }),
    memory: (_inputs, count, params) => model.noImage(count, params),
    prefetch: () => {},
  }
}

/**
 * Crops of `minCropArea` to 1 of the area with the picture's aspect ratio within 3:4 to 4:3, and mirrors.
 * @returns int32 [count, 5]: top, left, height, width (pixels), mirrored
 * Source: Szegedy et al. 2015, arXiv:1409.4842, section 6 (crops of random area and aspect).
 */
export function randomBoxes(
  count: number,
  size: number,
  { flip, minCropArea }: Augmentation,
  seed: number,
): Int32Array {
  const random = createRandom(seed)
  const boxes = new Int32Array(count * 5)
  for (let i = 0; i < count; i++) {
    const area = minCropArea + (1 - minCropArea) * random()
    const aspect = minCropArea < 1 ? Math.exp(Math.log(4 / 3) * (2 * random() - 1)) : 1
    const height = Math.max(1, Math.min(size, Math.round(size * Math.sqrt(area / aspect))))
    const width = Math.max(1, Math.min(size, Math.round(size * Math.sqrt(area * aspect))))
    const top = Math.floor(random() * (size - height + 1))
    const left = Math.floor(random() * (size - width + 1))
    boxes.set([top, left, height, width, flip && random() < 0.5 ? 1 : 0], i * 5)
  }
  return boxes
}
