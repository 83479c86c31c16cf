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
import type { Chart } from './charts.js'
import { chartsOf } from './curves.js'
import { evaluationPath, type ReportedEvaluation, readEvaluation } from './evaluation-file.js'
import { dataFacts, problemFacts, runFacts, summaryOf } from './facts.js'
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
import { readRunFile } from './run-file.js'
import type { ReportedValidation } from './scores.js'

export interface RunReportOptions {
  /** The file; report.html of the run folder when left out. */
  readonly path?: string | undefined
  /** evaluation.json of the run folder when left out, null for none. */
  readonly evaluation?: ReportedEvaluation | null | undefined
  readonly title?: string | undefined
  readonly summary?: string | undefined
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
  const validation = lastValidation(config, history)
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
    summary: options.summary ?? summaryOf(run, evaluation, validation),
    run: runFacts(run, config, history),
    data: run ? dataFacts(run) : [],
    problems: problemFacts(run, evaluation),
    config,
    curves,
    histograms,
    evaluation,
    validation,
    pictures,
  })
  await writePictures(folder, [...curves, ...histograms], pictures)
  return path
}

type Row = Readonly<Record<string, unknown>>

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
function lastSamples(folder: string, history: readonly Row[]): GalleryGroup<Captioned>[] {
  const { samples, step } = history.findLast(({ kind }) => kind === 'validation') ?? {}
  const items = (Array.isArray(samples) ? samples : []).flatMap((sample: unknown): Captioned[] => {
    const { image, caption, references } = sample as Readonly<Record<string, unknown>>
    if (typeof image !== 'string' || typeof caption !== 'string') return []
    const texts = Array.isArray(references) ? references.map(String) : []
    return [{ image, path: samplePath(folder, image), caption, references: texts }]
  })
  return items.length > 0 ? [{ title: `Validation at step ${step}`, items }] : []
}

/** The scores of the newest validation; without those of captions where the settings ask for none. */
function lastValidation(
  { validation }: Readonly<Record<string, unknown>>,
  history: readonly Row[],
): ReportedValidation | undefined {
  const { step, loss, bleu4, cider } = history.findLast(({ kind }) => kind === 'validation') ?? {}
  if (typeof step !== 'number') return undefined
  const number = (value: unknown) => (typeof value === 'number' ? value : undefined)
  const captions = (validation as { captions?: unknown } | undefined)?.captions !== 0
  return {
    step,
    loss: number(loss) ?? Number.NaN,
    ...(captions && { bleu4: number(bleu4), cider: number(cider) }),
  }
}
