/**
 * evaluate(): how good a model folder is on a split of a data set, with the floors that each figure must be seen
 * against. The model's part is measure.ts, the scores score.ts; nothing is printed.
 */
import { basename, join } from 'node:path'
import { readFile, stat } from 'node:fs/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import {
  type CaptionedImage,
  type Dataset,
  type DataProblem,
  readDataset,
  type SplitName,
  splitOf,
} from '../data/dataset.js'
import { isExactMatch } from '../data/scenes/grammar.js'
import { SCENES_FILE } from '../data/scenes/scene-file.js'
import { readScenes } from '../data/scenes/write.js'
import { type CaptionOptions, searchOptions } from '../decoding/options.js'
import { argumentError, CheckpointError, DataError } from '../errors.js'
import { systemCode } from '../files/system-error.js'
import { loadParams, releaseParams } from '../models/inference.js'
import { readModelFolder } from '../models/model-folder.js'
import { type DeviceName, openDevice } from '../native.js'
import { bootstrapInterval, corpusBleu, type Interval } from './bootstrap.js'
import { captionFloors } from './floors.js'
import { lossInterval, pairedInterval, shareInterval } from './intervals.js'
import { type EvaluateProgress, measure, type Measured } from './measure.js'
import { type CaptionItem, scoreCaptions, type Scores } from './score.js'

export interface EvaluateOptions {
  /** Model or run folder. */
  readonly model: string
  /** Folder or file of the data. */
  readonly data: string
  /** `val` when left out. */
  readonly split?: SplitName
  readonly beam?: number
  readonly maxTokens?: number
  readonly lengthPenalty?: number
  /** Only the first so many images of the split. */
  readonly limit?: number
  /** Images together on the device; 32 when left out. */
  readonly batchSize?: number
  readonly device?: DeviceName
  /** Of the shuffled images, the floors' samples and the intervals; 0 when left out. */
  readonly seed?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: EvaluateProgress) => void
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
  const { split = 'val', seed = 0, batchSize = 32, limit, signal } = options
  checkOptions({ split, seed, batchSize, limit })
  const onProgress = options.onProgress ?? (() => {})
  const folder = await readModelFolder(options.model)
  const { tokenizer, generation, model } = folder
  const decoding = searchOptions(options, generation, model.config.decoder.maxTokens, tokenizer)
  const dataset = await readDataset(options.data, await splitSettings(options.model))
  const chosen = chooseImages(dataset, split, limit)
  const device = openDevice(options.device)
  const params = loadParams(folder, device)
  let measured: Measured
  try {
    measured = await measure({
      folder,
      params,
      device,
      images: chosen,
      decoding: searchedFor(options),
      batchSize,
      seed,
      signal,
      onProgress,
    })
  } finally {
    releaseParams(params)
  }
  onProgress({ phase: 'scores', done: 0, total: chosen.length })
  const result = {
    split,
    problems: dataset.problems,
    decoding: {
      beam: decoding.beams,
      maxTokens: decoding.maxTokens,
      lengthPenalty: decoding.lengthPenalty,
    },
    ...judge(measured, trainCaptions(dataset, chosen), await exactMatches(dataset, measured), seed),
  }
  onProgress({ phase: 'scores', done: chosen.length, total: chosen.length })
  return result
}

function searchedFor({ beam, maxTokens, lengthPenalty }: EvaluateOptions): CaptionOptions {
  return { beam, maxTokens, lengthPenalty }
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

function checkOptions(options: {
  readonly split: string
  readonly seed: number
  readonly batchSize: number
  readonly limit: number | undefined
}): void {
  const { split, seed, batchSize, limit } = options
  if (split !== 'train' && split !== 'val' && split !== 'test')
    throw argumentError('evaluate', 'split', '"train", "val" or "test"', split)
  const whole = (value: number, low: number, high: number) =>
    Number.isInteger(value) && value >= low && value <= high
  if (!whole(batchSize, 1, 4096))
    throw argumentError('evaluate', 'batchSize', 'an integer from 1 to 4096', batchSize)
  if (limit !== undefined && !whole(limit, 1, Number.MAX_SAFE_INTEGER))
    throw argumentError('evaluate', 'limit', 'an integer from 1 up', limit)
  if (!whole(seed, 0, Number.MAX_SAFE_INTEGER))
    throw argumentError('evaluate', 'seed', 'an integer from 0 to 2^53 - 1', seed)
}
