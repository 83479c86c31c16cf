/** What a training run leaves for people when it ends: run.json, an evaluation of its best model, and the report. */
import { rm } from 'node:fs/promises'
import { evaluate } from '../evaluate/evaluate.js'
import { sizeOf, type Tensor } from '../tensor.js'
import type { Run } from '../train/prepare.js'
import type { TrainResult } from '../train/train.js'
import { version } from '../version.js'
import { evaluationPath, writeEvaluation } from './evaluation-file.js'
import { type RunFile, readRunFile, writeRunFile } from './run-file.js'
import { reportRun } from './run-report.js'

/**
 * Notes at the beginning of a run what its report will tell, also should it be killed. A resumed run keeps the time at
 * which it first began, and an evaluation of an earlier model goes.
 */
export async function noteRun(run: Run): Promise<void> {
  const { folder, dataset, device, weights, state } = run
  const earlier = state.step > 0 ? await readRunFile(folder) : undefined
  const numbers = (tensors: readonly Tensor[]) =>
    tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  const ofSplit = (name: string) => dataset.images.filter(({ split }) => split === name).length
  const training = run.trainImages.length
  const validation = run.validationImages.length
  await rm(evaluationPath(folder), { force: true })
  await writeRunFile(folder, {
    captioneer: version,
    node: process.version,
    system: `${process.platform} ${process.arch}`,
    device: device.description,
    started: earlier?.started ?? new Date().toISOString(),
    parameters: {
      trained: numbers(weights.trained),
      fixed: numbers(weights.others.map(([, tensor]) => tensor)),
    },
    data: {
      layout: dataset.layout,
      root: dataset.root,
      training,
      validation,
      captions: run.trainImages.reduce((sum, { captions }) => sum + captions.length, 0),
      vocabulary: run.model.vocabulary,
      undecodable: ofSplit('train') + ofSplit(run.validationSplit) - training - validation,
      validationSplit: run.validationSplit,
      problems: dataset.problems.map((problem) => ({
        ...problem,
        examples: [...problem.examples],
      })),
    },
  })
}

/**
 * Ends a run's record. A run that came to its end is evaluated on the images that its validations caption; one that was
 * interrupted is not, so that it ends soon. Never throws: what goes wrong is told as a warning.
 * @param result undefined after a failure, which is the error then
 */
export async function reportTraining(
  run: Run,
  result: TrainResult | undefined,
  failure: unknown,
): Promise<void> {
  const { folder, config, signal } = run
  try {
    const noted = await readRunFile(folder)
    if (noted)
      await writeRunFile(folder, {
        ...noted,
        ...(result ? { result: resultOf(result) } : { failure: (failure as Error).message }),
      })
    if (!config.report) return
    const images = Math.min(config.validation.captions, run.validationImages.length)
    if (result && images > 0 && !signal?.aborted) {
      run.tell({ kind: 'message', text: `captioning ${images} validation images for the report` })
      await evaluateBest(run, images).catch((error: Error) =>
        warn(run, signal?.aborted ? 'its evaluation was interrupted' : error.message),
      )
    }
    await reportRun(folder, {
      device: config.device,
      warn: (text) => run.tell({ kind: 'warning', text }),
    })
  } catch (error) {
    warn(run, (error as Error).message)
  }
}

function warn(run: Run, reason: string): void {
  run.tell({ kind: 'warning', text: `the report is not complete: ${reason}` })
}

async function evaluateBest({ folder, config, signal, validationSplit }: Run, limit: number) {
  const result = await evaluate({
    model: folder,
    data: config.data.path,
    split: validationSplit,
    limit,
    beam: config.validation.beam,
    batchSize: config.batchSize,
    seed: config.data.seed,
    device: config.device,
    signal,
  })
  await writeEvaluation(evaluationPath(folder), result)
}

function resultOf(result: TrainResult): NonNullable<RunFile['result']> {
  const finite = (value: number) => (Number.isFinite(value) ? value : null)
  return {
    ended: new Date().toISOString(),
    interrupted: result.interrupted,
    step: result.step,
    epoch: result.epoch,
    bestStep: result.best.step,
    bestLoss: finite(result.best.loss),
    trainSeconds: result.trainSeconds,
    imagesPerSecond: finite(result.imagesPerSecond),
    captionsPerSecond: finite(result.captionsPerSecond),
    peakBytes: result.peakBytes,
    skipped: result.skipped,
  }
}
