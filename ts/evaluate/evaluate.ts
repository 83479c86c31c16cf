/**
 * evaluate(): how good a model folder is on a split of a data set. The model's part is measure.ts, what follows from it
 * judge.ts; nothing is printed.
 */
import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import {
  type CaptionedImage,
  type DataProblem,
  type Dataset,
  readDataset,
  type SplitName,
  splitOf,
} from '../data/dataset.js'
import { isExactMatch } from '../data/scenes/grammar.js'
import { SCENES_FILE } from '../data/scenes/scene-file.js'
import { readScenes } from '../data/scenes/write.js'
import { decodingOptions } from '../decoding/options.js'
import { argumentError, DataError } from '../errors.js'
import { loadParams, releaseParams } from '../models/inference.js'
import { readModelFolder } from '../models/model-folder.js'
import { type DeviceName, openDevice } from '../native.js'
import { type Evaluation, judge } from './judge.js'
import { type EvaluateProgress, type Measured, measure } from './measure.js'
import { splitSettings } from './run-split.js'

export interface EvaluateOptions {
  /** Model or run folder. */
  readonly model: string
  /** Folder or file of the data. */
  readonly data: string
  /** `val` when left out. */
  readonly split?: SplitName | undefined
  readonly beam?: number | undefined
  readonly maxTokens?: number | undefined
  readonly lengthPenalty?: number | undefined
  /** Only the first so many images of the split. */
  readonly limit?: number | undefined
  /** Images together on the device; 32 when left out. */
  readonly batchSize?: number | undefined
  readonly device?: DeviceName | undefined
  /** Of the shuffled images, the floors' samples and the intervals; 0 when left out. */
  readonly seed?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: EvaluateProgress) => void) | undefined
}

export interface EvaluateResult extends Evaluation {
  readonly split: SplitName
  /** What is wrong with the data set. */
  readonly problems: readonly DataProblem[]
  /** How captions were searched for. */
  readonly decoding: {
    readonly beam: number
    readonly maxTokens: number
    readonly lengthPenalty: number
  }
}

/**
 * Evaluates a model: teacher-forced loss with the right and with wrong images, free-running captions and their scores,
 * floors and intervals. Where the data name no splits, they are split as for the run that made the model.
 *
 * The floors take captions of the training images; where the data have none, of the evaluated ones, which makes the
 * floors a little too high.
 * @throws CheckpointError, DataError, ArgumentError, DeviceError; the signal's reason when it is aborted
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluateResult> {
  checkOptions(options)
  const { split = 'val', seed = 0, batchSize = 32, limit, signal } = options
  const onProgress = options.onProgress ?? (() => {})
  const folder = await readModelFolder(options.model)
  const { tokenizer, generation, model } = folder
  const search = decodingOptions(options, generation, model.config.decoder.maxTokens, tokenizer)
  const decoding = {
    beam: search.beams,
    maxTokens: search.maxTokens,
    lengthPenalty: search.lengthPenalty,
  }
  const dataset = await readDataset(options.data, await splitSettings(options.model))
  const images = chooseImages(dataset, split, limit)
  const device = openDevice(options.device)
  const params = loadParams(folder, device)
  let measured: Measured
  try {
    measured = await measure({
      folder,
      params,
      device,
      images,
      decoding,
      batchSize,
      seed,
      signal,
      onProgress,
    })
  } finally {
    releaseParams(params)
  }
  if (measured.images.length === 0)
    throw new DataError(
      `evaluate: none of the ${images.length} images can be decoded (${measured.errors[0]?.message})`,
    )
  onProgress({ phase: 'scores', done: 0, total: images.length })
  const exact = await exactMatches(dataset, measured)
  const evaluation = judge(measured, trainCaptions(dataset, images), exact, seed)
  onProgress({ phase: 'scores', done: images.length, total: images.length })
  return { split, problems: dataset.problems, decoding, ...evaluation }
}

function chooseImages(
  dataset: Dataset,
  split: SplitName,
  limit = Number.POSITIVE_INFINITY,
): readonly CaptionedImage[] {
  const images = splitOf(dataset, split)
  if (images.length > 0) return images.slice(0, limit)
  const others = (['train', 'val', 'test'] as const)
    .map((name) => ({ name, count: splitOf(dataset, name).length }))
    .filter(({ count }) => count > 0)
  throw new DataError(
    `evaluate: ${dataset.root} (${dataset.layout}) has no images in split "${split}", only ` +
      `${others.map(({ name, count }) => `${count} in "${name}"`).join(' and ')}. Choose one of these splits`,
  )
}

function trainCaptions(dataset: Dataset, evaluated: readonly CaptionedImage[]): readonly string[] {
  const training = splitOf(dataset, 'train')
  return (training.length > 0 ? training : evaluated).flatMap(({ captions }) => captions)
}

/** Whether each caption is right for its scene; undefined for data that are no generated scenes. */
async function exactMatches(
  { root }: Dataset,
  { images, captions }: Measured,
): Promise<readonly boolean[] | undefined> {
  const file = await stat(join(root, SCENES_FILE)).catch(() => undefined)
  if (!file?.isFile()) return undefined
  const scenes = await readScenes(root)
  return images.map(({ path }, i) => {
    const scene = scenes.get(basename(path))
    if (scene) return isExactMatch(scene, captions[i]?.text ?? '')
    throw new DataError(
      `evaluate: ${path} is no scene of ${join(root, SCENES_FILE)}. Write the folder of scenes again`,
    )
  })
}

function checkOptions({ split, limit, batchSize, seed }: EvaluateOptions): void {
  if (split !== undefined && !['train', 'val', 'test'].includes(split))
    throw argumentError('evaluate', 'split', '"train", "val" or "test"', split)
  const whole = (value: number | undefined, low: number, high = Number.MAX_SAFE_INTEGER) =>
    value === undefined || (Number.isSafeInteger(value) && value >= low && value <= high)
  if (!whole(limit, 1)) throw argumentError('evaluate', 'limit', 'an integer from 1 up', limit)
  if (!whole(batchSize, 1, 4096))
    throw argumentError('evaluate', 'batchSize', 'an integer from 1 to 4096', batchSize)
  if (!whole(seed, 0))
    throw argumentError('evaluate', 'seed', 'an integer from 0 to 2^53 - 1', seed)
}
