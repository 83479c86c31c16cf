/** Where a run's images come from: pixels, features of a frozen encoder computed once, or none. Sources themselves are image-source.ts. */
import { freemem } from 'node:os'
import type { CaptionedImage } from '../data/dataset.js'
import {
  type FeatureCache,
  type FeatureItem,
  featureKey,
  openFeatureCache,
} from '../data/feature-cache.js'
import { decodeImage } from '../data/image.js'
import { createPixelCache } from '../data/pixel-cache.js'
import { ImageError } from '../errors.js'
import { encodePixels, pixelInput } from '../models/inference.js'
import type { FoldCache } from '../models/mode.js'
import type { CaptionModel } from '../models/model.js'
import type { Device } from '../native.js'
import { createRandom } from '../random.js'
import { createStepCache } from '../step-cache.js'
import { cast, scope } from '../tensor.js'
import type { TrainConfig } from './config.js'
import type { TrainEvent } from './events.js'
import { featureSource, noImageSource, pixelSource } from './image-source.js'
import type { TrainingWeights } from './weights.js'

export interface SourceParts {
  readonly config: TrainConfig
  readonly device: Device
  readonly model: CaptionModel
  readonly weights: TrainingWeights
  readonly frozen: number
  readonly folds: FoldCache
  readonly signal: AbortSignal | undefined
  readonly tell: (event: TrainEvent) => void
}

/**
 * Sources of training and validation images, and the images that they have: of cached features those that could be decoded.
 * @throws the signal's reason; DeviceError, OutOfMemoryError
 */
export async function openSources(
  parts: SourceParts,
  trainAll: readonly CaptionedImage[],
  validationAll: readonly CaptionedImage[],
) {
  const { config, model, tell } = parts
  const none = async () => {}
  if (!config.image) {
    const source = noImageSource(model)
    return {
      source,
      validationSource: source,
      trainImages: trainAll,
      validationImages: validationAll,
      close: none,
    }
  }
  if (parts.frozen === model.encoder.stages.length && config.cacheFeatures !== false) {
    return openFeatureSources(parts, trainAll, validationAll)
  }
  const cache = createPixelCache({ ...config.model.image, maxBytes: config.data.cacheBytes })
  const broken = (image: CaptionedImage, error: ImageError) =>
    tell({ kind: 'warning', text: `${image.path} is replaced by grey: ${error.message}` })
  const { flip, minCropArea } = config.data
  return {
    source: pixelSource(model, trainAll, cache, { flip, minCropArea }, broken),
    validationSource: pixelSource(
      model,
      validationAll,
      cache,
      { flip: false, minCropArea: 1 },
      broken,
    ),
    trainImages: trainAll,
    validationImages: validationAll,
    close: none,
  }
}

async function openFeatures(
  { config, device, model, weights, folds, signal, tell }: SourceParts,
  items: readonly FeatureItem[],
): Promise<FeatureCache> {
  const elements = model.cells * model.encoder.channels
  const frozenValues = await Promise.all(weights.others.map(([, t]) => t.readFloats()))
  const { image, encoder } = config.model
  const { size } = image
  const pixels = async ({ path }: CaptionedImage): Promise<Uint8Array | undefined> => {
    try {
      return await decodeImage(path, image)
    } catch (error) {
      if (!(error instanceof ImageError)) throw error
      tell({ kind: 'warning', text: `${path} is left out: ${error.message}` })
      return undefined
    }
  }
  const steps = createStepCache(device)
  const cache = openFeatureCache({
    items,
    elements,
    key: await featureKey(items, frozenValues, { image, encoder, elements }),
    batchSize: 32,
    memoryBytes: Math.floor(freemem() / 2),
    signal,
    onProgress: (progress) => tell({ kind: 'features', ...progress }),
    compute: async (batch) => {
      const loaded = await Promise.all(batch.map((item) => pixels(item.image)))
      const bytes = Buffer.concat(loaded.map((data) => data ?? new Uint8Array(size * size * 3)))
      const boxes = Int32Array.from(
        batch.flatMap(({ mirrored }) => [0, 0, size, size, mirrored ? 1 : 0]),
      )
      const inputs = {
        pixels: pixelInput(model, bytes),
        boxes: { data: boxes, shape: [batch.length, 5] },
      }
      const features = steps.run('features', inputs, ({ pixels, boxes }) =>
        scope(() => cast(encodePixels(model, weights.params, pixels, folds, boxes), 'bfloat16')),
      )
      const read = features.read()
      features.release()
      return {
        features: (await read) as Uint16Array,
        failed: loaded.map((data) => data === undefined),
      }
    },
  })
  return cache.finally(() => steps.dispose())
}

/** Sources over cached features; with `flip` a training image is mirrored in half of its visits. */
async function openFeatureSources(
  parts: SourceParts,
  trainAll: readonly CaptionedImage[],
  validationAll: readonly CaptionedImage[],
) {
  const { flip } = parts.config.data
  const plain = [...trainAll, ...validationAll].map((image) => ({ image, mirrored: false }))
  const mirrors = flip ? trainAll.map((image) => ({ image, mirrored: true })) : []
  const features = await openFeatures(parts, [...plain, ...mirrors])
  const source = featureSource(parts.model, features)
  // Places in the cache of the images that could be decoded.
  const usable = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => from + i).filter((i) => !features.failed.has(i))
  const part = (places: readonly number[], flips: boolean) => ({
    images: places.map((i) => plain[i]?.image as CaptionedImage),
    source: {
      ...source,
      load: (indices: readonly number[], augmentSeed?: number) => {
        const random = flips && augmentSeed !== undefined ? createRandom(augmentSeed) : () => 1
        const placeOf = (i: number) => (places[i] ?? 0) + (random() < 0.5 ? plain.length : 0)
        return source.load(indices.map(placeOf))
      },
    },
  })
  const training = part(usable(0, trainAll.length), flip)
  const validation = part(usable(trainAll.length, validationAll.length), false)
  return {
    source: training.source,
    validationSource: validation.source,
    trainImages: training.images,
    validationImages: validation.images,
    close: () => features.close(),
  }
}
