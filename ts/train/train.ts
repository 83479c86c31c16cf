/**
 * train(): from a data set and settings to a run folder with the best model. One step is step.ts; what a run is made
 * of is set up in prepare.ts, what it saves in save.ts, how it is judged in validate.ts.
 */
import { join } from 'node:path'
import type { SplitName } from '../data/dataset.js'
import { truncateHistoryAfter } from '../files/json-lines.js'
import { reportTraining } from '../report/training.js'
import { memory } from '../tensor.js'
import type { StepProgress, TrainEvent } from './events.js'
import { isBetter, metricOf } from './metric.js'
import { withAverage } from './optimizer.js'
import { prepareRun, type Run } from './prepare.js'
import { resolveConfig } from './resolve-config.js'
import { restoreRun, saveModel, saveRun } from './save.js'
import { countStep, loadStep, queueStep } from './step.js'
import { outcomeOf, type Trackers, trackRun, trackValidation } from './trackers/run.js'
import { validate } from './validate.js'

export interface TrainOptions {
  /** Folder or file of the data, or the config's whole `data` section. */
  readonly data: string | Readonly<Record<string, unknown>>
  readonly preset?: string
  /** YAML file with config keys. */
  readonly config?: string
  /** Go on from the newest checkpoint of `out`. */
  readonly resume?: boolean
  readonly signal?: AbortSignal
  /** Called after each step. */
  readonly onProgress?: (progress: StepProgress) => void
  /** Called for everything else: features, validations, warnings. */
  readonly onEvent?: (event: TrainEvent) => void
  /** Port of a live page on 127.0.0.1 while training; 0 takes a free one. */
  readonly dashboard?: number
  /** Config values as text, by dotted key, as on a command line. */
  readonly flags?: Readonly<Record<string, string>>
  /** Any other config key: epochs, out, batchSize, 'optimizer.learningRate', ... */
  readonly [key: string]: unknown
}

export interface TrainResult {
  /** Folder of the best model, for loadCaptioner(). */
  readonly model: string
  readonly run: string
  /** Page that shows the run; absent when the config asks for none. */
  readonly report?: string
  readonly step: number
  readonly epoch: number
  /** The validation of the model that was kept; NaN when there was none. */
  readonly best: {
    readonly step: number
    readonly loss: number
    readonly bleu4: number
    readonly cider: number
  }
  readonly last: { readonly loss: number }
  readonly imagesPerSecond: number
  readonly captionsPerSecond: number
  readonly secondsPerStep: number
  /** Seconds of training steps, validation and preparation left out. */
  readonly trainSeconds: number
  /** Largest memory of the device in use, bytes. */
  readonly peakBytes: number
  /** Steps that were skipped because their gradients were not finite. */
  readonly skipped: number
  /** True when the signal stopped the run; resume goes on. */
  readonly interrupted: boolean
  readonly split: SplitName
}

/**
 * Trains a captioner. The best model by validation is in the run folder; checkpoints allow exact resumption.
 * An aborted signal ends the run after the step at work, saved.
 * @throws ArgumentError, DataError, CheckpointError, DeviceError, OutOfMemoryError
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const {
    data,
    preset,
    config: file,
    resume = false,
    signal,
    onProgress,
    onEvent,
    dashboard,
    flags,
    ...rest
  } = options
  const overrides = { ...rest, ...(typeof data === 'string' ? { 'data.path': data } : { data }) }
  const config = resolveConfig({ preset, file, overrides, flags })
  const run = await prepareRun(config, resume, signal, onEvent ?? (() => {}))
  let trackers: Trackers | undefined
  let done: TrainResult | undefined
  let failure: unknown
  try {
    if (resume) await restoreRun(run)
    await truncateHistoryAfter(run.historyPath, run.state.step)
    trackers = await trackRun(run, dashboard)
    await loop(run, trackers, onProgress ?? (() => {}))
    done = result(run)
    return done
  } catch (error) {
    failure = error
    throw error
  } finally {
    await trackers?.close(outcomeOf(done))
    await run.close()
    if (trackers) await reportTraining(run, done, failure)
  }
}

/**
 * Steps until the last one, the time limit, early stopping or the signal. The next step is queued before the results
 * of the one at work are awaited, so that the device never waits for JavaScript; only where something must happen
 * between two steps (validation, checkpoint) it is not.
 */
async function loop(
  run: Run,
  trackers: Trackers,
  onProgress: (progress: StepProgress) => void,
): Promise<void> {
  const { config, state, totalSteps, signal } = run
  const started = performance.now()
  const limit = config.maxSeconds ? config.maxSeconds * 1000 : Number.POSITIVE_INFINITY
  const share = (step: number) => Math.max(step / totalSteps, (performance.now() - started) / limit)
  const pauses = (step: number) =>
    step >= totalSteps || step % config.checkpoint.every === 0 || validationDue(run, step)
  const enqueue = async (step: number) => {
    const input = await loadStep(run, step)
    return { input, queued: queueStep(run, input, step, share(step)) }
  }

  let ended = state.step >= totalSteps
  let current = ended ? undefined : await enqueue(state.step)
  let mark = performance.now()
  while (current) {
    const { input, queued } = current
    const stop = () => signal?.aborted || performance.now() - started >= limit
    const ahead = pauses(state.step + 1) || stop() ? undefined : await enqueue(state.step + 1)
    const results = await queued.results
    const now = performance.now()
    const counted = countStep(run, input, queued, results, (now - mark) / 1000)
    mark = now
    const rest = Math.min(
      ((totalSteps - state.step) * state.seconds) / state.step,
      (limit - (now - started)) / 1000,
    )
    const progress = { ...counted, secondsLeft: Math.max(0, rest) }
    onProgress(progress)
    await trackers.log({ kind: 'step', ...progress })
    if (ahead) {
      current = ahead
      continue
    }
    ended = state.step >= totalSteps || performance.now() - started >= limit
    if (!signal?.aborted && (ended || validationDue(run, state.step)))
      ended = (await validateAndKeepBest(run, trackers)) || ended
    ended ||= signal?.aborted ?? false
    if (ended || state.step % config.checkpoint.every === 0) await saveRun(run)
    current = ended ? undefined : await enqueue(state.step)
    mark = performance.now()
  }
  if (!state.best) await withAverage(run.weights.optimizer, () => saveModel(run))
}

function validationDue(run: Run, step: number): boolean {
  const { every } = run.config.validation
  return step % (every === 'epoch' ? run.stepsPerEpoch : every) === 0
}

/** @returns true when training should stop early */
async function validateAndKeepBest(run: Run, trackers: Trackers): Promise<boolean> {
  const { config, state } = run
  const metric = metricOf(config)
  const { best, ...validation } = await withAverage(run.weights.optimizer, async () => {
    const found = await validate(run)
    const best = isBetter(metric, found, state.best)
    const { loss, bleu4, cider } = found
    if (best) {
      state.best = { step: state.step, loss, bleu4, cider }
      await saveModel(run)
    }
    return { ...found, best }
  })
  state.stalled = best ? 0 : state.stalled + 1
  state.plateau.stalled = best ? 0 : state.plateau.stalled + 1
  if (state.plateau.stalled >= config.schedule.patience) {
    state.plateau = { factor: state.plateau.factor * config.schedule.factor, stalled: 0 }
  }
  run.tell({ kind: 'validation', ...validation, best })
  await trackValidation(trackers, { ...validation, best })
  const patience = config.earlyStopping?.patience
  if (patience === undefined || state.stalled < patience) return false
  const words = { loss: 'loss', bleu4: 'BLEU-4', cider: 'CIDEr-D' }[metric]
  run.tell({
    kind: 'message',
    text: `stopped early: no better ${words} in ${patience} validations`,
  })
  return true
}

function result(run: Run): TrainResult {
  const { state, folder, signal } = run
  return {
    model: folder,
    run: folder,
    ...(run.config.report && { report: join(folder, 'report.html') }),
    step: state.step,
    epoch: Math.floor(state.step / run.stepsPerEpoch),
    best: state.best ?? { step: 0, loss: Number.NaN, bleu4: Number.NaN, cider: Number.NaN },
    last: { loss: state.lastLoss ?? Number.NaN },
    imagesPerSecond: state.images / state.seconds,
    captionsPerSecond: state.captions / state.seconds,
    secondsPerStep: state.seconds / Math.max(1, state.step),
    trainSeconds: state.seconds,
    peakBytes: memory(run.device).peakBytes,
    skipped: state.skipped,
    interrupted: signal?.aborted ?? false,
    split: run.validationSplit,
  }
}
