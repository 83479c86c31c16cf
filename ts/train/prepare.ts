/** What a run is made of: data, tokenizer, model, weights, image sources and the run folder, before the first step. */
import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { stepsPerEpoch, type TokenizedCaptions, tokenizeCaptions } from '../data/batches.js'
import {
  type CaptionedImage,
  type Dataset,
  readDataset,
  type SplitName,
  splitOf,
} from '../data/dataset.js'
import { type GenerationConfig, generationSchema } from '../decoding/generation.js'
import { decodingOptions } from '../decoding/options.js'
import { ArgumentError, DataError } from '../errors.js'
import { writeAtomic } from '../files/atomic.js'
import { dropFolds, type FoldCache } from '../models/mode.js'
import { buildModel, type CaptionModel, frozenStages } from '../models/model.js'
import { readModelFolder } from '../models/model-folder.js'
import { computeDtype } from '../models/precision.js'
import { readEncoderWeights } from '../models/pretrained.js'
import { type Device, fallbackReason, openDevice } from '../native.js'
import { createStepCache, type StepCache } from '../step-cache.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { saveTokenizer } from '../tokenizer/tokenizer-json.js'
import { trainTokenizer } from '../tokenizer/train-tokenizer.js'
import { listCheckpoints } from './checkpoint.js'
import { configToYaml, type TrainConfig } from './config.js'
import type { TrainEvent } from './events.js'
import type { ImageSource } from './image-source.js'
import { startingValues } from './init.js'
import { metricOf } from './metric.js'
import { freshState, type RunState } from './run-state.js'
import { createSelfCritic, type SelfCritic } from './self-critical.js'
import { openSources } from './sources.js'
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
  /** Self-critical training: draws the captions of each step. */
  readonly critic: SelfCritic | undefined
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
  const { trainAll, validationAll } = splits(dataset)
  const init = config.init === undefined ? undefined : await readModelFolder(config.init)
  const tokenizer =
    init && config.initStrict
      ? init.tokenizer
      : trainTokenizer(
          trainAll.flatMap(({ captions }) => captions),
          config.tokenizer,
        )
  const { maxTokens } = config.model.decoder
  const generation = generationSchema.parse({
    maxTokens: Math.min(30, maxTokens),
    ...config.generation,
  })
  // What cannot be decoded, such as a prefix of unknown words, is said now and not at the first validation.
  decodingOptions({ beam: config.validation.beam }, generation, maxTokens, tokenizer)
  const model = buildModel(config.model, tokenizer.vocabularySize, config.image)
  const frozen = frozenStages(model, config.freezeEncoder)
  const pretrained = await pretrainedWeights(config, tell)
  if (init) {
    const start = startingValues(init, model, tokenizer, config.initStrict)
    for (const [name, values] of start.values) pretrained.set(name, values)
    tell({ kind: 'message', text: start.summary })
  }
  if (
    config.image &&
    frozen > 0 &&
    ![...pretrained.keys()].some((name) => name.startsWith('encoder.'))
  )
    throw new ArgumentError(
      'train: freezeEncoder keeps the encoder as it is, but neither encoderWeights nor init gives it pretrained weights. ' +
        `Give --encoder-weights FILE with published ones of ${config.model.encoder.name}, such as torchvision's, or train the encoder ` +
        'with --freeze-encoder false; --preset tiny needs none',
    )
  const weights = createWeights(model, frozen, pretrained, config.seed, device, dtype, {
    optimizer: config.optimizer.name,
    average: config.ema !== undefined,
    decayEmbeddings: config.optimizer.decayEmbeddings,
  })
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
  const subject = { model, params: weights.params, tokenizer, device, generation }
  const critic = config.selfCritical
    ? createSelfCritic({ ...subject, source: sources.source }, trainImages, config.selfCritical)
    : undefined
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
    captions: tokenizeCaptions(trainImages, tokenizer, maxTokens, config.data.longCaptions),
    model,
    frozenStages: frozen,
    weights,
    generation,
    critic,
    folds,
    steps,
    stepsPerEpoch: perEpoch,
    totalSteps: Math.min(perEpoch * config.epochs, config.maxSteps ?? Number.POSITIVE_INFINITY),
    state: freshState(fingerprint(config, tokenizer, trainImages)),
    signal,
    tell,
    close: async () => {
      await sources.close()
      critic?.dispose()
      steps.dispose()
      dropFolds(folds)
      releaseWeights(weights)
    },
  }
}

async function pretrainedWeights(
  config: TrainConfig,
  tell: (event: TrainEvent) => void,
): Promise<Map<string, Float32Array>> {
  if (!config.encoderWeights || !config.image) return new Map()
  if (/\.pth?$/i.test(config.encoderWeights) && config.model.encoder.padding === 'same')
    tell({
      kind: 'warning',
      text:
        `${config.encoderWeights} is a file of PyTorch's, and model.encoder.padding is "same", TensorFlow's. torchvision's weights, and ` +
        "most of timm's, want --model.encoder.padding symmetric and ImageNet's mean and deviation: docs/encoders.md has the flags. " +
        'With the wrong ones features are wrong without an error',
    })
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

/** What must be the same for a resumed run to go on with the same bits. */
function fingerprint(
  config: TrainConfig,
  tokenizer: Tokenizer,
  images: readonly CaptionedImage[],
): string {
  const { model, data, optimizer, schedule, batchSize, accumulate, seed, image } = config
  const { precision, selfCritical, ema } = config
  const facts = {
    model,
    tokenizer: saveTokenizer(tokenizer),
    metric: metricOf(config),
    selfCritical,
    ema,
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
