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
import { type CaptionOptions, decodingOptions, samplingNames } from '../decoding/options.js'
import { argumentError, DataError } from '../errors.js'
import { loadParams, releaseParams } from '../models/inference.js'
import { type ModelFolder, readModelFolder } from '../models/model-folder.js'
import { type DeviceName, openDevice } from '../native.js'
import { checkJars, type JarOptions, jarScores } from './jars.js'
import type { Evaluation } from './judge.js'
import { judgeInWorker } from './judge-worker.js'
import { type EvaluateProgress, type Measured, measure } from './measure.js'
import { splitSettings } from './run-split.js'
import { tokenizeItem } from './score.js'
import { checkTextOnly, textOnlyLoss } from './text-only.js'

/** With all options of decoding, by which the captions are found. */
export interface EvaluateOptions extends Omit<CaptionOptions, 'attention'>, JarOptions {
  /** Model or run folder. */
  readonly model: string
  /** Folder or file of the data. */
  readonly data: string
  /** `val` when left out. */
  readonly split?: SplitName | undefined
  /** Only the first so many images of the split. */
  readonly limit?: number | undefined
  /** Images together on the device; 32 when left out. */
  readonly batchSize?: number | undefined
  readonly device?: DeviceName | undefined
  /** Folder of a model trained without images on the same data, whose loss is to stand beside this one's. */
  readonly textOnly?: string | undefined
  /** Of the shuffled images, the floors' samples, the intervals and of captions that are drawn; 0 when left out. */
  readonly seed?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: EvaluateProgress) => void) | undefined
}

export interface EvaluateResult extends Evaluation {
  readonly split: SplitName
  /** What is wrong with the data set. */
  readonly problems: readonly DataProblem[]
  /** How captions were searched for: the options given and the model's own. */
  readonly decoding: CaptionOptions & {
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
  const { split, limit, batchSize = 32, textOnly, meteorJar, spiceJar, ...others } = options
  const { model: path, data, device: name, signal, onProgress = () => {}, ...search } = others
  const { seed = 0 } = search
  await checkJars({ meteorJar, spiceJar })
  const folder = await readModelFolder(path)
  const decoding = chosenDecoding(search, folder)
  const textOnlyFolder = textOnly === undefined ? undefined : await readModelFolder(textOnly)
  if (textOnlyFolder) checkTextOnly(textOnlyFolder, folder)
  const dataset = await readDataset(data, await splitSettings(path))
  const images = chooseImages(dataset, split ?? 'val', limit)
  const device = openDevice(name)
  const params = loadParams(folder, device)
  let measured: Measured
  try {
    measured = await measure({
      folder,
      params,
      device,
      images,
      decoding: search,
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
  const { errors, captions, ...found } = measured
  const items = measured.images.map(({ id, captions: references }, i) =>
    tokenizeItem({ id, candidate: captions[i]?.text ?? '', references }),
  )
  const evaluation = await judgeInWorker(
    {
      ...found,
      ...(textOnlyFolder && {
        textOnlyLoss: await textOnlyLoss(textOnlyFolder, device, found.images, batchSize, signal),
      }),
      jars: await jarScores(items, { meteorJar, spiceJar, signal }),
      images: found.images.map(({ id, path, captions }) => ({ id, path, captions })),
      captions: captions.map(({ text, score }) => ({ text, score })),
      skipped: errors.length,
      warnings: errors.slice(0, 5).map(({ message }) => message),
      trainingCaptions: splitOf(dataset, 'train').flatMap(({ captions }) => captions),
      exact: await exactMatches(dataset, measured),
      seed,
    },
    signal,
  )
  onProgress({ phase: 'scores', done: images.length, total: images.length })
  return { split: split ?? 'val', problems: dataset.problems, decoding, ...evaluation }
}

/** The options of decoding that count, checked. */
function chosenDecoding(
  given: CaptionOptions,
  { generation, model, tokenizer }: ModelFolder,
): EvaluateResult['decoding'] {
  const { sampling, beams, maxTokens, lengthPenalty } = decodingOptions(
    given,
    generation,
    model.config.decoder.maxTokens,
    tokenizer,
  )
  // A search leaves alone what the model samples with.
  const idle: readonly string[] = sampling ? [] : samplingNames
  const { seed, ...chosen } = Object.fromEntries(
    Object.entries({ ...generation, ...given }).filter(
      ([name, value]) => value !== undefined && !idle.includes(name),
    ),
  ) as CaptionOptions
  return {
    ...chosen,
    beam: beams,
    maxTokens,
    lengthPenalty,
    ...(sampling && { seed: given.seed ?? generation.seed ?? 0 }),
  }
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
