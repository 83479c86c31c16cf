/**
 * Our side of a case: the model on the device with made-up data, ready to train or caption through the library's own
 * steps. How the other side comes to the same numbers is peer-inputs.ts.
 */

import { uploadCaptions } from '../ts/data/batches.js'
import type { CaptionedImage } from '../ts/data/dataset.js'
import type { FeatureCache } from '../ts/data/feature-cache.js'
import { generationSchema } from '../ts/decoding/generation.js'
import { type CaptionLoop, createCaptionLoop } from '../ts/models/caption-loop.js'
import { encodePixels, pixelInput } from '../ts/models/inference.js'
import { dropFolds, type FoldCache, trainingMode } from '../ts/models/mode.js'
import { buildModel, frozenStages } from '../ts/models/model.js'
import { computeDtype } from '../ts/models/precision.js'
import type { Device } from '../ts/native.js'
import { createStepCache, upload } from '../ts/step-cache.js'
import { cast, scope, type Tensor } from '../ts/tensor.js'
import { specialIds, type Tokenizer } from '../ts/tokenizer/tokenizer.js'
import { trainWordTokenizer } from '../ts/tokenizer/word.js'
import { featureSource, pixelSource } from '../ts/train/image-source.js'
import { freshState } from '../ts/train/run-state.js'
import {
  type InputParts,
  loadStep,
  queueStep,
  type StepInput,
  type StepParts,
} from '../ts/train/step.js'
import { createWeights, releaseWeights } from '../ts/train/weights.js'
import { type BenchCase, configOf, madeUpCaptions, madeUpPictures } from './cases.js'

/** Batches that training goes round and round. */
export const batches = 8

/** A model with data, on a device. */
export interface Workload {
  readonly run: StepParts & InputParts
  readonly pictures: readonly Uint8Array[]
  /** bfloat16 features of every picture, when they are cached. */
  readonly features: readonly Uint16Array[]
  readonly captions: CaptionLoop
  close(): void
}

/** Builds the model of a case with its starting weights, and data for a few batches. */
export async function createWorkload(
  one: BenchCase,
  device: Device,
  batchSize?: number,
): Promise<Workload> {
  const config = configOf(one, batchSize)
  const model = buildModel(config.model, one.vocabulary)
  const frozen = frozenStages(model, config.freezeEncoder)
  const weights = createWeights(
    model,
    frozen,
    new Map(),
    config.seed,
    device,
    computeDtype(config.precision, device),
  )
  const folds: FoldCache = new Map()
  const steps = createStepCache(device)
  const images = 2 * config.batchSize
  const pictures = madeUpPictures(images, config.model.image.size)
  const trainImages = pictures.map(
    (_, i): CaptionedImage => ({ id: String(i), path: String(i), captions: [], split: 'train' }),
  )
  const features: Uint16Array[] = []
  if (one.cached)
    for (const picture of pictures) {
      const bits = scope(() => {
        const { pixels } = upload({ pixels: pixelInput(model, picture) }, device)
        return cast(encodePixels(model, weights.params, pixels, folds), 'bfloat16')
      })
      features.push((await bits.read()) as Uint16Array)
      bits.release()
    }
  const source = one.cached
    ? featureSource(model, cacheOf(features))
    : pixelSource(
        model,
        trainImages,
        {
          get: async ({ id }) => pictures[Number(id)] ?? new Uint8Array(),
          prefetch: () => 0,
          keptBytes: () => 0,
        },
        { flip: false, minCropArea: 1 },
        () => {},
      )
  const run = {
    config,
    device,
    model,
    weights,
    folds,
    steps,
    source,
    trainImages,
    frozenStages: frozen,
    state: freshState(''),
    tokenizer: tokenizerOf(one.vocabulary),
    // The begin token takes one of the positions.
    captions: madeUpCaptions(images, one.vocabulary, model.config.decoder.maxTokens - 1),
  }
  const { params } = weights
  const generation = generationSchema.parse({})
  const inferenceFolds: FoldCache = new Map()
  const captions = createCaptionLoop({
    ...run,
    params,
    generation,
    memory: ({ images: pixels }) => encodePixels(model, params, pixels as Tensor, inferenceFolds),
  })
  return {
    run,
    pictures,
    features,
    captions,
    close: () => {
      captions.dispose()
      dropFolds(inferenceFolds)
      steps.dispose()
      dropFolds(folds)
      releaseWeights(weights)
    },
  }
}

function cacheOf(features: readonly Uint16Array[]): FeatureCache {
  return {
    path: '',
    failed: new Set(),
    load: async (indices) => {
      const parts = indices.map((i) => features[i] ?? new Uint16Array())
      const size = parts[0]?.length ?? 0
      const all = new Uint16Array(parts.length * size)
      for (const [i, part] of parts.entries()) all.set(part, i * size)
      return all
    },
    close: async () => {},
  }
}

function tokenizerOf(vocabulary: number): Tokenizer {
  const words = vocabulary - Object.keys(specialIds).length
  return trainWordTokenizer(Array.from({ length: words }, (_, i) => `word${i}`))
}

/** What step `step` of a workload takes in. */
export function inputOf({ run }: Workload, step: number): Promise<StepInput> {
  return loadStep(run, step % batches)
}

/** Loss of the first batch before training, without dropout. */
export async function firstLoss(work: Workload): Promise<number> {
  const { run } = work
  const { decoder } = run.model
  const input = await inputOf(work, 0)
  const [batch] = input.batches
  if (!batch) return Number.NaN
  const mode = trainingMode(undefined, run.frozenStages, run.folds)
  const { labelSmoothing } = run.config.optimizer
  const loss = scope(() =>
    decoder.loss(
      run.weights.params.decoder,
      run.source.memory(
        upload(batch.images.inputs, run.device),
        batch.images.count,
        run.weights.params,
        mode,
      ),
      uploadCaptions(batch.text, run.device),
      { labelSmoothing },
      mode,
    ),
  )
  const [value = Number.NaN] = await loss.readFloats()
  loss.release()
  return value
}

/**
 * Training as train() does it: each step is queued before the one at work has ended.
 * @returns milliseconds of each of `steps` steps
 */
export async function trainSteps(work: Workload, from: number, steps: number): Promise<number[]> {
  const enqueue = async (step: number) => queueStep(work.run, await inputOf(work, step), step, 0)
  const times: number[] = []
  let mark = performance.now()
  let current = await enqueue(from)
  for (let step = from; step < from + steps; step++) {
    const ahead = step + 1 < from + steps ? await enqueue(step + 1) : undefined
    await current.results
    const now = performance.now()
    times.push(now - mark)
    mark = now
    if (ahead) current = ahead
  }
  return times
}

/** A way to caption that takes as long whatever the model says: the end token is forbidden before the last position. */
export interface FixedSearch {
  readonly batch: number
  readonly beams: number
  readonly tokens: number
}

/** Captions the first pictures as a Captioner does. @returns ids of the best caption of each */
export async function captionPictures(
  { run, pictures, captions }: Workload,
  { batch, beams, tokens }: FixedSearch,
): Promise<(readonly number[])[]> {
  const images = pixelInput(run.model, Buffer.concat(pictures.slice(0, batch)))
  const found = await captions.captions(
    { count: batch, inputs: { images } },
    { beam: beams, maxTokens: tokens, minTokens: tokens, lengthPenalty: 0 },
  )
  return found.map(([best]) => best?.tokens ?? [])
}
