/**
 * The report of a run folder, made from its files: config.yaml, history.jsonl, run.json, evaluation.json, the model and the
 * pictures of its data. So it can be made again at any time, also of a run that was killed.
 */
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parse } from 'yaml'
import { DataError } from '../errors.js'
import { readJsonLines } from '../files/json-lines.js'
import type { DeviceName } from '../native.js'
import { samplePath } from '../train/trackers/history.js'
import { version } from '../version.js'
import type { Chart } from './charts.js'
import { chartsOf } from './curves.js'
import { evaluationPath, type ReportedEvaluation, readEvaluation } from './evaluation-file.js'
import {
  type Captioned,
  chooseGroups,
  type GalleryGroup,
  type Look,
  type PictureOf,
  withPictures,
} from './gallery.js'
import { histogramsOf } from './histograms.js'
import { looksOf } from './looks.js'
import { writePictures } from './picture-files.js'
import { writeReport } from './report.js'
import { type RunFile, readRunFile } from './run-file.js'

export interface RunReportOptions {
  /** The file; report.html of the run folder when left out. */
  readonly path?: string | undefined
  /** evaluation.json of the run folder when left out, null for none. */
  readonly evaluation?: ReportedEvaluation | null | undefined
  readonly title?: string | undefined
  readonly summary?: string | undefined
  /** Loss of the same model without an image, nats per token; the evaluation's own when left out. */
  readonly textOnlyLoss?: number | undefined
  /** The picture shown for an image; its own file when left out. */
  readonly picture?: PictureOf | undefined
  /** Computes the heat maps; 'auto' when left out. */
  readonly device?: DeviceName | undefined
  /** Told what the report must do without. */
  readonly warn?: ((text: string) => void) | undefined
}

/**
 * Writes the report of a run folder, and its charts and pictures as PNG files in `samples/`.
 * @returns the report's path
 * @throws DataError when the folder is none of a run; CheckpointError when a file cannot be read or written
 */
export async function reportRun(folder: string, options: RunReportOptions = {}): Promise<string> {
  const config = await readConfig(folder)
  const history = await readJsonLines(join(folder, 'history.jsonl'))
  const run = await readRunFile(folder)
  const evaluation =
    options.evaluation === undefined
      ? await readEvaluation(evaluationPath(folder))
      : (options.evaluation ?? undefined)
  const curves = chartsOf(history)
  const histograms: readonly Chart[] = evaluation ? histogramsOf(evaluation) : []
  const groups: readonly GalleryGroup<Captioned>[] = evaluation
    ? chooseGroups(evaluation, seedOf(config))
    : lastSamples(folder, history)
  const looks = evaluation
    ? await looksOf(folder, groups, evaluation.decoding, options.device).catch((error: Error) => {
        options.warn?.(`the report has no heat maps: ${error.message}`)
        return new Map<string, Look>()
      })
    : new Map<string, Look>()
  const pictures = await withPictures(groups, options.picture ?? ownFile, looks)
  const path = options.path ?? join(folder, 'report.html')
  await writeReport(path, {
    title: options.title ?? `captioneer: ${basename(folder)}`,
    summary: options.summary ?? summaryOf(run, evaluation),
    run: runFacts(run, config, history),
    data: run ? dataFacts(run) : [],
    problems: problemFacts(run, evaluation),
    config,
    curves,
    histograms,
    evaluation,
    textOnlyLoss: options.textOnlyLoss,
    pictures,
  })
  await writePictures(folder, [...curves, ...histograms], pictures)
  return path
}

const ownFile: PictureOf = ({ path }) => readFile(path)

async function readConfig(folder: string): Promise<Readonly<Record<string, unknown>>> {
  const path = join(folder, 'config.yaml')
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new DataError(
      `report: ${path} cannot be read (${(cause as NodeJS.ErrnoException).code}). Give the folder of a run, ` +
        'the --out of "captioneer train"',
      { cause },
    )
  })
  const config: unknown = parse(text)
  return typeof config === 'object' && config !== null ? { ...config } : {}
}

function seedOf({ seed }: Readonly<Record<string, unknown>>): number {
  return typeof seed === 'number' ? seed : 0
}

/** The captions of the newest validation, with the pictures that were kept of its images. */
function lastSamples(
  folder: string,
  history: readonly Readonly<Record<string, unknown>>[],
): GalleryGroup<Captioned>[] {
  const { samples, step } = history.findLast(({ kind }) => kind === 'validation') ?? {}
  const items = (Array.isArray(samples) ? samples : []).flatMap((sample: unknown): Captioned[] => {
    const { image, caption, references } = sample as Readonly<Record<string, unknown>>
    if (typeof image !== 'string' || typeof caption !== 'string') return []
    const texts = Array.isArray(references) ? references.map(String) : []
    return [{ image, path: samplePath(folder, image), caption, references: texts }]
  })
  return items.length > 0 ? [{ title: `Validation at step ${step}`, items }] : []
}

function summaryOf(run: RunFile | undefined, evaluation: ReportedEvaluation | undefined) {
  const { result, data } = run ?? {}
  const trained = result
    ? `Trained for ${result.step} steps on ${data?.training} images${result.interrupted ? ', then interrupted' : ''}`
    : 'A run that has not ended, or that was cut off'
  return evaluation
    ? `${trained}. Judged on ${evaluation.images} images of split "${evaluation.split}".`
    : `${trained}. Not evaluated yet.`
}

type Fact = readonly [name: string, value: string]

function runFacts(
  run: RunFile | undefined,
  config: Readonly<Record<string, unknown>>,
  history: readonly Readonly<Record<string, unknown>>[],
): Fact[] {
  const lastStep = history.findLast(({ kind }) => kind === 'step')?.step
  const seeds: Fact = ['seed', String(seedOf(config))]
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

function dataFacts({ data }: RunFile): Fact[] {
  return [
    ['folder', data.root],
    ['layout', data.layout],
    ['training images', String(data.training)],
    ['training captions', String(data.captions)],
    ['validation images', `${data.validation}, split "${data.validationSplit}"`],
    ['vocabulary', `${data.vocabulary} tokens`],
  ]
}

function problemFacts(
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
