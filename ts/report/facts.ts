/** What a report says in words and tables about a run: summary, facts, data and its faults. */
import { version } from '../version.js'
import type { ReportedEvaluation } from './evaluation-file.js'
import type { RunFile } from './run-file.js'
import type { ReportedValidation } from './scores.js'

type Fact = readonly [name: string, value: string]
type Row = Readonly<Record<string, unknown>>

/** What was done, and on what it was judged. */
export function summaryOf(
  run: RunFile | undefined,
  evaluation: ReportedEvaluation | undefined,
  validation: ReportedValidation | undefined,
): string {
  const judged = evaluation
    ? `Judged on ${evaluation.images} images of split "${evaluation.split}".`
    : `Not evaluated yet${validation ? ': the scores are those of its last validation' : ''}.`
  return `${trainedText(run)}. ${judged}`
}

function trainedText({ result, failure, data }: Partial<RunFile> = {}): string {
  if (failure !== undefined) return `A run that an error ended (${failure})`
  if (!result) return 'A run that has not ended, or that was cut off'
  const { step, interrupted } = result
  return `Trained for ${step} steps on ${data?.training} images${interrupted ? ', then interrupted' : ''}`
}

/** Versions, device, seed, times and counts of the run. */
export function runFacts(
  run: RunFile | undefined,
  config: Readonly<Record<string, unknown>>,
  history: readonly Row[],
): Fact[] {
  const lastStep = history.findLast(({ kind }) => kind === 'step')?.step
  const seeds: Fact = ['seed', String(config.seed ?? 0)]
  if (!run) return [['captioneer', version], seeds, ['steps', String(lastStep ?? 0)]]
  const { result, parameters } = run
  const count = (value: number) => value.toLocaleString('en-US')
  const rate = (value: number | null) => (value === null ? '–' : value.toPrecision(3))
  return [
    ['captioneer', run.captioneer],
    ['Node.js', run.node],
    ['system', run.system],
    ['device', run.device],
    seeds,
    ['trained parameters', count(parameters.trained)],
    ['fixed parameters', count(parameters.fixed)],
    ['started', timeText(run.started)],
    ...(result
      ? ([
          ['ended', `${timeText(result.ended)}${result.interrupted ? ', interrupted' : ''}`],
          [
            'training',
            `${result.trainSeconds.toFixed(1)} s, ${result.step} steps, ${result.epoch} whole epochs`,
          ],
          [
            'best validation loss',
            result.bestLoss === null
              ? 'none'
              : `${result.bestLoss.toFixed(4)} nats per token at step ${result.bestStep}`,
          ],
          [
            'speed',
            `${rate(result.imagesPerSecond)} images/s, ${rate(result.captionsPerSecond)} captions/s`,
          ],
          ['memory of the device', `${(result.peakBytes / 2 ** 20).toFixed(0)} MiB at most`],
          ['steps skipped, gradients not finite', String(result.skipped)],
        ] as const)
      : ([['steps so far', String(lastStep ?? 0)]] as const)),
  ]
}

function timeText(iso: string): string {
  return `${iso.slice(0, 16).replace('T', ' ')} UTC`
}

export function dataFacts({ data }: RunFile): Fact[] {
  return [
    ['folder', data.root],
    ['layout', data.layout],
    ['training images', String(data.training)],
    ['training captions', String(data.captions)],
    ['validation images', `${data.validation}, split "${data.validationSplit}"`],
    ['vocabulary', `${data.vocabulary} tokens`],
  ]
}

/** What is wrong with the data, and what was left out. */
export function problemFacts(
  run: RunFile | undefined,
  evaluation: ReportedEvaluation | undefined,
): Fact[] {
  const problems = run?.data.problems ?? evaluation?.problems ?? []
  return [
    ...problems.map(
      ({ kind, count, examples }): Fact => [kind, `${count}, such as ${examples.join('; ')}`],
    ),
    ...(run && run.data.undecodable > 0
      ? [['cannot be decoded, left out', String(run.data.undecodable)] as const]
      : []),
    ...(evaluation && evaluation.skipped > 0
      ? [
          [
            'cannot be decoded, not evaluated',
            `${evaluation.skipped}: ${evaluation.warnings.join('; ')}`,
          ] as const,
        ]
      : []),
  ]
}
