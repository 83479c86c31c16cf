/** One optimizer step: load, forward, backward, update. Everything on the device is queued; only the loss is awaited. */
import {
  batchIndices,
  chooseCaptions,
  type HostCaptions,
  packCaptions,
  uploadCaptions,
} from '../data/batches.js'
import { CaptioneerError } from '../errors.js'
import { trainingMode } from '../models/mode.js'
import { differentiate } from '../tape.js'
import { scope, type Tensor, tensor } from '../tensor.js'
import type { StepProgress } from './events.js'
import type { LoadedImages } from './image-source.js'
import { collectGradients, optimizerStep } from './optimizer.js'
import type { Run } from './prepare.js'
import { learningRateFactor } from './schedule.js'

/** The host's part of a step: one entry per accumulated batch. */
export interface StepInput {
  readonly batches: readonly { readonly images: LoadedImages; readonly text: HostCaptions }[]
  readonly imageCount: number
  readonly captionCount: number
  readonly tokens: number
}

const mostSkippedInARow = 10

/** What of a run a step's input comes from. */
export type InputParts = Pick<Run, 'config' | 'trainImages' | 'captions' | 'source' | 'tokenizer'>

/** Loads what step `step` needs; a function of the step alone, whatever came before. */
export async function loadStep(run: InputParts, step: number): Promise<StepInput> {
  const { config, trainImages, captions, source, tokenizer } = run
  const { seed, captionsPerImage } = config.data
  const batches = await Promise.all(
    Array.from({ length: config.accumulate }, async (_, i) => {
      const place = step * config.accumulate + i
      const indices = batchIndices(place, trainImages.length, config.batchSize, seed)
      const chosen = chooseCaptions(captions, indices, captionsPerImage, seed + place)
      const images = await source.load(indices, seed * 31 + place)
      return { images, text: packCaptions(chosen, tokenizer) }
    }),
  )
  const next = batchIndices(
    (step + 1) * config.accumulate,
    trainImages.length,
    config.batchSize,
    seed,
  )
  source.prefetch(next)
  const sum = (of: (batch: (typeof batches)[number]) => number) =>
    batches.reduce((total, batch) => total + of(batch), 0)
  return {
    batches,
    imageCount: sum((batch) => batch.images.count),
    captionCount: sum((batch) => batch.text.offsets.length - 1),
    tokens: sum((batch) => batch.text.tokens.length),
  }
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
  'config' | 'weights' | 'device' | 'state' | 'model' | 'source' | 'frozenStages' | 'folds'
>

/** Queues step `step` on the device. @param progress 0-1: share of the run that is over */
export function queueStep(
  run: StepParts,
  input: StepInput,
  step: number,
  progress: number,
): QueuedStep {
  const { config, weights, device, state } = run
  const { optimizer } = config
  const factor = learningRateFactor(config.schedule, step, progress, state.plateau.factor)
  const learningRate = optimizer.learningRate * factor
  const losses = scope(() => {
    const rng = tensor(Int32Array.of(config.seed | 0, 0, step), [3], device)
    const batchLosses = input.batches.map((batch, i) =>
      scope(() => {
        const mode = trainingMode(rng, run.frozenStages, run.folds)
        const text = uploadCaptions(batch.text, device, input.tokens)
        const [loss, grads] = differentiate(weights.trained, () =>
          run.model.decoder.loss(
            weights.params.decoder,
            run.source.memory(batch.images, weights.params, mode),
            text,
            { labelSmoothing: optimizer.labelSmoothing },
            mode,
          ),
        )
        collectGradients(weights.optimizer, grads, i === 0)
        return loss
      }),
    )
    optimizerStep(weights.optimizer, {
      ...optimizer,
      learningRate,
      encoderLearningRate: (optimizer.encoderLearningRate ?? optimizer.learningRate) * factor,
    })
    return batchLosses
  })
  return { learningRate, results: readResults(losses, weights.optimizer) }
}

async function readResults(
  losses: readonly Tensor[],
  optimizer: Run['weights']['optimizer'],
): Promise<{ loss: number; norm: number; state: Float32Array }> {
  const reads = [...losses, optimizer.norm, optimizer.state].map((t) => t.readFloats())
  for (const loss of losses) loss.release()
  const values = await Promise.all(reads)
  const state = values.pop() ?? new Float32Array()
  const norm = values.pop()?.[0] ?? Number.NaN
  return { loss: values.reduce((sum, [loss = 0]) => sum + loss, 0), norm, state }
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
    imagesPerSecond: input.imageCount / seconds,
    captionsPerSecond: input.captionCount / seconds,
  }
}
