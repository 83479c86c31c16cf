/**
 * runDemo(): the whole path in about two minutes. Draws scenes (or takes photographs), trains a small captioner and a
 * text-only baseline, evaluates on pictures it has not seen, and writes a report. Only what is put together is decided
 * here; the work is done by data/scenes/, train/, evaluate/ and report/.
 */
import { resolve } from 'node:path'
import type { SceneOptions } from './data/scenes/scene.js'
import { readScenes, writeScenes } from './data/scenes/write.js'
import { type DemoSample, openDemoFolder, pictures, saveSamples } from './demo-folder.js'
import { argumentError } from './errors.js'
import { evaluate } from './evaluate/evaluate.js'
import { type DeviceName, openDevice } from './native.js'
import { reportRun } from './report/run-report.js'
import type { StepProgress, TrainEvent } from './train/events.js'
import { resolveModel } from './train/resolve-config.js'
import { type TrainOptions, train } from './train/train.js'

const PRESET = 'tiny'
/** Scenes drawn, as large as the preset takes them. */
const TRAINING_SCENES = 14_000
const VALIDATION_SCENES = 500
/** As many words as two cores can learn in two minutes. */
const SCENES: Partial<SceneOptions> = {
  shapes: ['circle', 'square', 'triangle', 'star'],
  colours: ['red', 'yellow', 'green', 'blue', 'white'],
  maxCount: { small: 2, large: 2 },
  twoGroups: 0.5,
}
/** Of all training, seconds. */
const MAX_SECONDS = 120
/** So that a fast device ends when it has learned enough. */
const MAX_STEPS = 6000
/** The baseline has no image to learn from: after these steps its loss stays, with fewer captions in each. */
const TEXT_ONLY_SHARE = 0.07
const TEXT_ONLY_SECONDS = 8
const TEXT_ONLY_STEPS = 300
const TEXT_ONLY_CAPTIONS = 2
const TEXT_ONLY_WARMUP = 30
const VALIDATE_EVERY = 1500
/** Images of each validation while training, and how many of them are captioned. */
const VALIDATION_IMAGES = 200
const VALIDATION_CAPTIONS = 50
/** Most images evaluated. */
const EVALUATED = 1000
/** Beam width of the evaluation's captions. */
const BEAM = 3
/** Words of photographs' captions that come fewer times become the unknown word. */
const PHOTO_MIN_COUNT = 3
const SAMPLES = 3

export interface DemoOptions {
  /** Folder for scenes, model, samples and report; ./captioneer-demo when left out. */
  readonly out?: string | undefined
  /** Images with captions to use instead of drawn scenes; they are squashed to small squares. */
  readonly data?: string | undefined
  /** Longest training, seconds, the text-only baseline included; 120 when left out. */
  readonly maxSeconds?: number | undefined
  /** Of scenes and weights; 0 when left out. */
  readonly seed?: number | undefined
  readonly device?: DeviceName | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: StepProgress) => void) | undefined
  readonly onEvent?: ((event: DemoEvent) => void) | undefined
}

/** What the demo turns to next, or what training tells. */
export type DemoEvent = { readonly kind: 'phase'; readonly text: string } | TrainEvent

export interface DemoResult {
  readonly device: string
  /** Of training steps alone, those of the baseline included. */
  readonly trainSeconds: number
  readonly imagesPerSecond: number
  readonly validation: {
    /** Nats per token: with the right image, of the model without images, with another picture's image. */
    readonly loss: number
    readonly textOnlyLoss: number
    readonly shuffledLoss: number
    /** Drawn scenes only: share of captions that are true and complete, 0-1. */
    readonly exactMatch?: number
    /** 0-1. */
    readonly bleu4: number
    /** 0-10. */
    readonly cider: number
  }
  /** Pictures of the validation split with their captions; `image` is a file in `out`. */
  readonly samples: readonly DemoSample[]
  readonly report: string
  readonly model: string
}

/**
 * Runs the demo. In the folder of an earlier one the scenes are used again and the rest is made anew.
 * @throws ArgumentError, DataError, CheckpointError, DeviceError; the signal's reason when it is aborted
 */
export async function runDemo(options: DemoOptions = {}): Promise<DemoResult> {
  const { seed = 0, maxSeconds = MAX_SECONDS, signal } = options
  if (!(maxSeconds > 0)) throw argumentError('demo', 'maxSeconds', 'a number above 0', maxSeconds)
  const phase = (text: string) => options.onEvent?.({ kind: 'phase', text })
  const device = openDevice(options.device)
  const folder = await openDemoFolder(resolve(options.out ?? './captioneer-demo'))
  const data = options.data ?? folder.scenes
  if (options.data === undefined) {
    phase(`drawing ${TRAINING_SCENES + VALIDATION_SCENES} pictures in ${data}`)
    await writeScenes(data, {
      train: TRAINING_SCENES,
      val: VALIDATION_SCENES,
      seed,
      scene: SCENES,
      size: resolveModel({ preset: PRESET }).image.size,
      ...(signal && { signal }),
    })
  }

  const settings = trainingSettings(options, data, seed)
  const textOnlySeconds = Math.min(TEXT_ONLY_SECONDS, TEXT_ONLY_SHARE * maxSeconds)
  phase(`training without images for at most ${seconds(textOnlySeconds)}, for comparison`)
  const textOnly = await train({
    ...settings,
    out: folder.textOnly,
    image: false,
    maxSteps: TEXT_ONLY_STEPS,
    maxSeconds: textOnlySeconds,
    'data.captionsPerImage': TEXT_ONLY_CAPTIONS,
    'schedule.warmupSteps': TEXT_ONLY_WARMUP,
    'validation.every': TEXT_ONLY_STEPS,
    'validation.captions': 0,
  })
  signal?.throwIfAborted()
  const captionerSeconds = maxSeconds - textOnlySeconds
  phase(`training the captioner for at most ${seconds(captionerSeconds)} on ${device.name}`)
  const trained = await train({
    ...settings,
    out: folder.model,
    maxSteps: MAX_STEPS,
    maxSeconds: captionerSeconds,
  })
  signal?.throwIfAborted()

  phase('captioning pictures that it has not seen')
  const evaluation = await evaluate({
    model: trained.model,
    data,
    split: trained.split,
    limit: EVALUATED,
    beam: BEAM,
    textOnly: textOnly.run,
    seed,
    device: options.device,
    signal,
  })
  const picture = pictures(options.data === undefined ? await readScenes(data) : undefined)
  const shown = evaluation.predictions.slice(0, SAMPLES)
  const samples = await saveSamples(shown, folder.samples, picture)
  const trainSeconds = textOnly.trainSeconds + trained.trainSeconds
  await reportRun(trained.run, {
    path: folder.report,
    title: 'captioneer demo',
    summary:
      `A small captioner, trained for ${seconds(trainSeconds)} on ` +
      `${options.data === undefined ? 'pictures that the computer drew' : `the pictures of ${data}`} ` +
      'and judged on pictures that it has not seen.',
    evaluation,
    picture,
    device: options.device,
  })
  const {
    loss,
    textOnlyLoss = Number.NaN,
    shuffledLoss = Number.NaN,
    exactMatch,
    bleu,
    cider,
  } = evaluation
  return {
    device: device.name,
    trainSeconds,
    imagesPerSecond: trained.imagesPerSecond,
    validation: {
      loss,
      textOnlyLoss,
      shuffledLoss,
      ...(exactMatch !== undefined && { exactMatch }),
      bleu4: bleu[3] ?? 0,
      cider,
    },
    samples,
    report: folder.report,
    model: trained.model,
  }
}

/** What the captioner and the baseline have in common. */
function trainingSettings(
  { data: photographs, device, signal, onProgress, onEvent }: DemoOptions,
  data: string,
  seed: number,
): TrainOptions {
  return {
    data,
    preset: PRESET,
    seed,
    'data.seed': seed,
    ...(photographs !== undefined && { 'tokenizer.minCount': PHOTO_MIN_COUNT }),
    // Steps and seconds end the training, not epochs.
    epochs: 1_000_000,
    'validation.every': VALIDATE_EVERY,
    'validation.images': VALIDATION_IMAGES,
    'validation.captions': VALIDATION_CAPTIONS,
    'validation.samples': SAMPLES,
    'validation.beam': 1,
    // The demo's own report shows this one's run and the larger evaluation.
    report: false,
    ...(device && { device }),
    ...(signal && { signal }),
    ...(onProgress && { onProgress }),
    ...(onEvent && { onEvent }),
  }
}

function seconds(value: number): string {
  return `${Math.round(value)} s`
}
