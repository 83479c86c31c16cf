/** One optimizer step: load, forward, backward, update. Everything on the device is queued; only the loss is awaited. */
import {
  batchIndices,
  captionInputs,
  chooseCaptions,
  deviceCaptions,
  type HostCaptions,
  packCaptions,
} from '../data/batches.js'
import { padCaptions } from '../data/pad-captions.js'
import { CaptioneerError } from '../errors.js'
import type { PackedCaptions } from '../models/decoders/decoder.js'
import type { ImageInputs, LoadedImages } from '../models/inference.js'
import { trainingMode } from '../models/mode.js'
import type { DeviceInputs } from '../step-cache.js'
import { differentiate } from '../tape.js'
import { scope, type Tensor } from '../tensor.js'
import { specialIds } from '../tokenizer/tokenizer.js'
import type { StepProgress } from './events.js'
import { averageWeights, collectGradients, optimizerStep } from './optimizer.js'
import type { Run } from './prepare.js'
import { learningRateFactor } from './schedule.js'

/** The host's part of a step: one entry per accumulated batch. */
export interface StepInput {
  readonly batches: readonly StepBatch[]
  readonly imageCount: number
  readonly captionCount: number
  readonly tokens: number
  /** Mean reward of the batches. */
  readonly reward?: number
}

interface StepBatch {
  readonly images: LoadedImages
  readonly text: HostCaptions
  /** Self-critical training: mean reward of the captions, which the model drew itself. */
  readonly reward?: number
}

const mostSkippedInARow = 10

/** What of a run a step's input comes from. */
export type InputParts = Pick<Run, 'config' | 'trainImages' | 'captions' | 'source' | 'tokenizer'> &
  Partial<Pick<Run, 'critic'>>

/**
 * Loads what step `step` needs; a function of the step alone, whatever came before, and in self-critical training of the
 * weights, too: then the captions are drawn once all steps queued before are done.
 */
export async function loadStep(run: InputParts, step: number): Promise<StepInput> {
  const { config, trainImages, captions, source, tokenizer, critic } = run
  const { seed, captionsPerImage } = config.data
  const batches = await Promise.all(
    Array.from({ length: config.accumulate }, async (_, i): Promise<StepBatch> => {
      const place = step * config.accumulate + i
      const indices = batchIndices(place, trainImages.length, config.batchSize, seed)
      const chosen = chooseCaptions(captions, indices, captionsPerImage, seed + place)
      const images = await source.load(indices, seed * 31 + place)
      return critic
        ? { images, ...(await critic.sample(images, indices, chosen, samplingSeed(config, place))) }
        : { images, text: packCaptions(chosen, tokenizer) }
    }),
  )
  const next = batchIndices(
    (step + 1) * config.accumulate,
    trainImages.length,
    config.batchSize,
    seed,
  )
  source.prefetch(next)
  const sum = (of: (batch: StepBatch) => number) =>
    batches.reduce((total, batch) => total + of(batch), 0)
  return {
    batches,
    imageCount: sum((batch) => batch.images.count),
    captionCount: sum((batch) => batch.text.offsets.length - 1),
    tokens: sum((batch) => batch.text.tokens.length),
    ...(critic && { reward: sum(({ reward = 0 }) => reward) / batches.length }),
  }
}

/** Of the draws of one batch; different for every batch of every run. */
function samplingSeed({ seed }: Run['config'], place: number): number {
  return seed * 2 ** 21 + (place % 2 ** 21)
}

/** What a queued step will tell. */
export interface QueuedStep {
  readonly learningRate: number
  /** Loss, gradient norm, and the optimizer's state once the device is done. */
  readonly results: Promise<{ loss: number; norm: number; state: Float32Array }>
}

/** What of a run a step computes with; tests and the benchmark put it together without a data set. */
export type StepParts = Pick<
  Run,
  | 'config'
  | 'weights'
  | 'device'
  | 'state'
  | 'model'
  | 'source'
  | 'frozenStages'
  | 'folds'
  | 'steps'
>

/** Queues step `step` on the device. @param progress 0-1: share of the run that is over */
export function queueStep(
  run: StepParts,
  input: StepInput,
  step: number,
  progress: number,
): QueuedStep {
  const { config, weights, state } = run
  const factor = learningRateFactor(config.schedule, step, progress, state.plateau.factor)
  const learningRate = config.optimizer.learningRate * factor
  const losses = input.batches.map(({ images, text: exact }, i) => {
    // Also where nothing is captured: how a run computes must not depend on that, down to the last bit.
    const text = padCaptions(exact, specialIds.pad, config.model.decoder.maxTokens)
    const place = { first: i === 0, last: i === input.batches.length - 1 }
    const host = {
      ...captionInputs(text, input.tokens),
      ...images.inputs,
      rng: { data: Int32Array.of(config.seed | 0, 0, step), shape: [3] },
      learningRate: { data: Float32Array.of(learningRate), shape: [1] },
    }
    const { longest, captionsPerImage } = text
    const key = JSON.stringify({ ...place, longest, captionsPerImage, count: images.count })
    const loss = run.steps.run(key, host, (inputs) =>
      batchStep(run, inputs, deviceCaptions(inputs, text), images.count, place),
    )
    // Asked for now: the next batch may use the memory.
    const read = loss.readFloats()
    loss.release()
    return read
  })
  return { learningRate, results: readResults(losses, weights.optimizer) }
}

/** One batch: forward, backward, its gradients to the others', and after the last the optimizer's step. */
function batchStep(
  run: StepParts,
  inputs: DeviceInputs<ImageInputs> & { readonly rng: Tensor; readonly learningRate: Tensor },
  text: PackedCaptions,
  count: number,
  { first, last }: { readonly first: boolean; readonly last: boolean },
): Tensor {
  const { weights, frozenStages, folds } = run
  const { optimizer: options } = run.config
  const { labelSmoothing, learningRate, encoderLearningRate = learningRate } = options
  return scope(() => {
    // The policy whose samples are rewarded is the model as it captions: without dropout, nothing smoothed.
    const { selfCritical } = run.config
    const mode = trainingMode(selfCritical ? undefined : inputs.rng, frozenStages, folds)
    const [loss, grads] = differentiate(
      weights.trained,
      () =>
        run.model.decoder.loss(
          weights.params.decoder,
          run.source.memory(inputs, count, weights.params, mode),
          text,
          { labelSmoothing: selfCritical ? 0 : labelSmoothing },
          mode,
        ),
      first ? weights.optimizer.gradViews : [],
    )
    collectGradients(weights.optimizer, grads, first)
    if (last) {
      const encoderScale = encoderLearningRate / learningRate
      optimizerStep(weights.optimizer, inputs.learningRate, { ...options, encoderScale })
      if (run.config.ema !== undefined) averageWeights(weights.optimizer, run.config.ema)
    }
    return loss
  })
}

async function readResults(
  losses: readonly Promise<Float32Array>[],
  { norm, state }: Run['weights']['optimizer'],
): Promise<{ loss: number; norm: number; state: Float32Array }> {
  const values = await Promise.all([norm.readFloats(), state.readFloats(), ...losses])
  const [norms = new Float32Array(), states = new Float32Array(), ...sums] = values
  const loss = sums.reduce((sum, [value = 0]) => sum + value, 0)
  return { loss, norm: norms[0] ?? Number.NaN, state: states }
}

/**
 * Counts a finished step in the run's state.
 * @throws CaptioneerError (ERR_NOT_FINITE) after ten skipped steps in a row
 */
export function countStep(
  run: Run,
  input: StepInput,
  queued: QueuedStep,
  { loss, norm, state }: Awaited<QueuedStep['results']>,
  seconds: number,
): Omit<StepProgress, 'secondsLeft'> {
  const totals = run.state
  totals.step++
  totals.seconds += seconds
  totals.images += input.imageCount
  totals.captions += input.captionCount
  if (Number.isFinite(loss)) totals.lastLoss = loss
  const [, , skipped = 0, inARow = 0] = state
  totals.skipped = skipped
  if (inARow >= mostSkippedInARow)
    throw new CaptioneerError(
      'ERR_NOT_FINITE',
      `train: the loss or its gradients were not finite in ${inARow} steps in a row (step ${totals.step}). ` +
        `The last good checkpoint is in ${run.folder}. Lower optimizer.learningRate, or look for broken data`,
    )
  return {
    step: totals.step,
    steps: run.totalSteps,
    epoch: Math.floor((totals.step - 1) / run.stepsPerEpoch),
    loss,
    learningRate: queued.learningRate,
    gradientNorm: norm,
    ...(input.reward !== undefined && { reward: input.reward }),
    imagesPerSecond: input.imageCount / seconds,
    captionsPerSecond: input.captionCount / seconds,
  }
}
