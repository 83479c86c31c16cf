/** What a run is made of: data, tokenizer, model, weights, image sources and the run folder, before the first step. */
import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { freemem } from 'node:os'
import { join, resolve } from 'node:path'
import { stepsPerEpoch, type TokenizedCaptions, tokenizeCaptions } from '../data/batches.js'
import {
  type CaptionedImage,
  type Dataset,
  readDataset,
  type SplitName,
  splitOf,
} from '../data/dataset.js'
import {
  type FeatureCache,
  type FeatureItem,
  featureKey,
  openFeatureCache,
} from '../data/feature-cache.js'
import { decodeImage } from '../data/image.js'
import { createPixelCache } from '../data/pixel-cache.js'
import { ArgumentError, DataError, ImageError } from '../errors.js'
import { writeAtomic } from '../files/atomic.js'
import { encodePixels, pixelInput } from '../models/inference.js'
import { dropFolds, type FoldCache } from '../models/mode.js'
import { buildModel, type CaptionModel, frozenStages } from '../models/model.js'
import { type GenerationConfig, generationSchema } from '../models/model-folder.js'
import { computeDtype } from '../models/precision.js'
import { readEncoderWeights } from '../models/pretrained.js'
import { type Device, fallbackReason, openDevice } from '../native.js'
import { createRandom } from '../random.js'
import { createStepCache, type StepCache } from '../step-cache.js'
import { cast, scope } from '../tensor.js'
import { trainBytePairTokenizer } from '../tokenizer/byte-pair.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { trainWordTokenizer } from '../tokenizer/word.js'
import { listCheckpoints } from './checkpoint.js'
import { configToYaml, type TrainConfig } from './config.js'
import type { TrainEvent } from './events.js'
import { featureSource, type ImageSource, noImageSource, pixelSource } from './image-source.js'
import { freshState, type RunState } from './run-state.js'
import { createWeights, releaseWeights, type TrainingWeights } from './weights.js'

export interface Run {
  readonly config: TrainConfig
  readonly folder: string
  readonly historyPath: string
  readonly device: Device
  readonly dataset: Dataset
  readonly trainImages: readonly CaptionedImage[]
  readonly validationImages: readonly CaptionedImage[]
  readonly validationSplit: SplitName
  readonly tokenizer: Tokenizer
  /** Training captions as ids, by image. */
  readonly captions: readonly TokenizedCaptions[]
  readonly model: CaptionModel
  readonly frozenStages: number
  readonly weights: TrainingWeights
  readonly source: ImageSource
  readonly validationSource: ImageSource
  readonly generation: GenerationConfig
  readonly folds: FoldCache
  /** Training steps that were captured. */
  readonly steps: StepCache
  readonly stepsPerEpoch: number
  readonly totalSteps: number
  readonly state: RunState
  readonly signal: AbortSignal | undefined
  readonly tell: (event: TrainEvent) => void
  readonly close: () => Promise<void>
}

/** @throws DataError, ArgumentError, CheckpointError, DeviceError: whatever makes the run impossible */
export async function prepareRun(
  config: TrainConfig,
  resume: boolean,
  signal: AbortSignal | undefined,
  tell: (event: TrainEvent) => void,
): Promise<Run> {
  const folder = resolve(config.out)
  if (!resume && (await listCheckpoints(join(folder, 'checkpoints'))).length > 0)
    throw new ArgumentError(
      `train: ${config.out} already holds a run. Go on with --resume, or give another --out`,
    )
  const device = openDevice(config.device)
  const noGpu = fallbackReason(config.device, device)
  if (noGpu) tell({ kind: 'warning', text: `training on the CPU: ${noGpu}` })
  const dtype = computeDtype(config.precision, device)
  const dataset = await readDataset(config.data.path, {
    seed: config.data.seed,
    valFraction: config.data.valFraction,
  })
  for (const { kind, count, examples } of dataset.problems)
    tell({ kind: 'warning', text: `data: ${count} x ${kind} (${examples.slice(0, 2).join(', ')})` })
  const pretrained = await pretrainedWeights(config)
  const { trainAll, validationAll } = splits(dataset)
  const tokenizer = trainTokenizer(config, trainAll)
  const model = buildModel(config.model, tokenizer.vocabularySize, config.image)
  const frozen = frozenStages(model, config.freezeEncoder)
  if (config.image && frozen > 0 && pretrained.size === 0)
    throw new ArgumentError(
      'train: freezeEncoder keeps the encoder as it is, but encoderWeights gives it no pretrained weights. ' +
        'Give --encoder-weights FILE.safetensors, or train the encoder with --freeze-encoder false',
    )
  const weights = createWeights(model, frozen, pretrained, config.seed, device, dtype)
  const folds: FoldCache = new Map()
  const steps = createStepCache(device)
  const sources = await openSources(
    { config, device, model, weights, frozen, folds, signal, tell },
    trainAll,
    validationAll,
  )
  const { trainImages, validationImages } = sources
  if (trainImages.length === 0)
    throw new DataError(`train: none of the ${trainAll.length} training images can be decoded`)
  const perEpoch = Math.ceil(
    stepsPerEpoch(trainImages.length, config.batchSize) / config.accumulate,
  )
  const { maxTokens } = config.model.decoder
  await mkdir(folder, { recursive: true })
  await writeAtomic(join(folder, 'config.yaml'), async (file) => {
    await file.writeFile(configToYaml(config))
  })
  return {
    config,
    folder,
    historyPath: join(folder, 'history.jsonl'),
    device,
    dataset,
    ...sources,
    validationSplit: validationImages[0]?.split ?? 'val',
    tokenizer,
    captions: tokenizeCaptions(trainImages, tokenizer, maxTokens),
    model,
    frozenStages: frozen,
    weights,
    generation: generationSchema.parse({ maxTokens: Math.min(30, maxTokens) }),
    folds,
    steps,
    stepsPerEpoch: perEpoch,
    totalSteps: Math.min(perEpoch * config.epochs, config.maxSteps ?? Number.POSITIVE_INFINITY),
    state: freshState(fingerprint(config, trainImages)),
    signal,
    tell,
    close: async () => {
      await sources.close()
      steps.dispose()
      dropFolds(folds)
      releaseWeights(weights)
    },
  }
}

async function pretrainedWeights(config: TrainConfig): Promise<ReadonlyMap<string, Float32Array>> {
  if (!config.encoderWeights || !config.image) return new Map()
  const encoder = buildModel(config.model, 5).encoder
  const values = await readEncoderWeights(config.encoderWeights, encoder)
  return new Map([...values].map(([name, data]) => [`encoder.${name}`, data]))
}

function splits(dataset: Dataset) {
  const trainAll = splitOf(dataset, 'train')
  const validation = splitOf(dataset, 'val')
  const validationAll = validation.length > 0 ? validation : splitOf(dataset, 'test')
  if (trainAll.length === 0)
    throw new DataError(
      `train: ${dataset.root} (${dataset.layout}) holds no training images, only ` +
        `${dataset.images.length} of other splits. Give the folder that also holds the training captions`,
    )
  if (validationAll.length === 0)
    throw new DataError(
      `train: ${dataset.root} leaves no image for validation. Add images, or raise data.valFraction`,
    )
  return { trainAll, validationAll }
}

function trainTokenizer(config: TrainConfig, images: readonly CaptionedImage[]): Tokenizer {
  const captions = images.flatMap((image) => image.captions)
  const { kind, minCount, maxSize } = config.tokenizer
  return kind === 'word'
    ? trainWordTokenizer(captions, { minCount, maxSize })
    : trainBytePairTokenizer(captions, { vocabularySize: maxSize, minCount })
}

interface SourceParts {
  readonly config: TrainConfig
  readonly device: Device
  readonly model: CaptionModel
  readonly weights: TrainingWeights
  readonly frozen: number
  readonly folds: FoldCache
  readonly signal: AbortSignal | undefined
  readonly tell: (event: TrainEvent) => void
}

async function openSources(
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

/** What must be the same for a resumed run to go on with the same bits. */
function fingerprint(config: TrainConfig, images: readonly CaptionedImage[]): string {
  const { model, tokenizer, data, optimizer, schedule, batchSize, accumulate, seed, image } = config
  const { precision } = config
  const facts = {
    model,
    tokenizer,
    data: { ...data, path: '', cacheBytes: 0 },
    optimizer,
    schedule,
    batchSize,
    accumulate,
    seed,
    image,
    precision,
    ids: images.map(({ id }) => id),
  }
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16)
}
