/** The report of a run: one HTML file that opens from the disk, without a network. Sections are in the files beside it. */
import type { DataProblem } from '../data/dataset.js'
import type { EvaluateResult } from '../evaluate/evaluate.js'
import { writeAtomic } from '../files/atomic.js'
import { version } from '../version.js'
import { chartsOf, curvesSection } from './curves.js'
import { drawCurves } from './draw-curves.js'
import { gallery, type PictureOf } from './gallery.js'
import { factTable, type Html, html, renderPage } from './page.js'
import { imageUse, scoreTable, tiles } from './scores.js'
import { style } from './style.js'

export interface ReportInput {
  readonly title: string
  /** What was done, a sentence or two. */
  readonly summary?: string
  /** Device that did the work, as a person calls it. */
  readonly device?: string
  /** Any other facts of the run, shown beside version and device: seconds, images/s, folders. */
  readonly facts?: readonly (readonly [name: string, value: string])[]
  /** Settings of the run, nested as they are. */
  readonly config?: object
  readonly data?: {
    readonly layout: string
    readonly root: string
    readonly training: number
    readonly validation: number
    readonly problems: readonly DataProblem[]
  }
  /** Rows of history.jsonl. */
  readonly history?: readonly Readonly<Record<string, unknown>>[]
  readonly evaluation?: EvaluateResult
  /** Validation loss of the same model without an image, nats per token. */
  readonly textOnlyLoss?: number
  /** Decides which pictures are drawn at random; 0 when left out. */
  readonly seed?: number
  /** The picture shown for a prediction, as bytes of an image file; the data's own when left out. */
  readonly picture?: PictureOf
}

/**
 * Writes the report; what the input leaves out is left out.
 * @throws CheckpointError when the file cannot be written; its folder must exist
 */
export async function writeReport(path: string, input: ReportInput): Promise<void> {
  const text = await reportHtml(input)
  await writeAtomic(path, (file) => file.writeFile(text))
}

async function reportHtml(input: ReportInput): Promise<string> {
  const { title, summary, history = [], evaluation, textOnlyLoss } = input
  const charts = chartsOf(history)
  const drawing = await drawCurves(charts)
  const body = html`<header><h1>${title}</h1>${summary !== undefined && html`<p>${summary}</p>`}</header>
${evaluation && tiles(evaluation)}
${evaluation && imageUse(evaluation, textOnlyLoss)}
${evaluation && scoreTable(evaluation)}
${curvesSection(charts)}
${evaluation && (await gallery(evaluation, input.seed ?? 0, input.picture))}
${runSection(input)}
${dataSection(input)}
${configSection(input.config)}
<footer>Written by captioneer ${version}, ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC.
This file holds all it shows and loads nothing.</footer>`
  return renderPage({ title, styles: [...drawing.styles, style], body, scripts: drawing.scripts })
}

function runSection({ device, facts = [] }: ReportInput): Html {
  return html`<section><h2>Run</h2>${factTable([
    ['captioneer', version],
    ['Node.js', process.version],
    ['system', `${process.platform} ${process.arch}`],
    ...(device === undefined ? [] : [['device', device] as const]),
    ...facts,
  ])}</section>`
}

function dataSection({ data, evaluation }: ReportInput): Html {
  if (!data && !evaluation) return html``
  const problems = data?.problems ?? evaluation?.problems ?? []
  const rows: (readonly [string, string])[] = [
    ...(data
      ? ([
          ['folder', data.root],
          ['layout', data.layout],
          ['training images', String(data.training)],
          ['validation images', String(data.validation)],
        ] as const)
      : []),
    ...problems.map(
      ({ kind, count, examples }) => [kind, `${count}, such as ${examples.join('; ')}`] as const,
    ),
    ...(evaluation && evaluation.skipped > 0
      ? [['cannot be decoded', `${evaluation.skipped}: ${evaluation.warnings.join('; ')}`] as const]
      : []),
  ]
  return html`<section><h2>Data</h2>${factTable(rows)}
${problems.length === 0 && html`<p class="soft">No problem was found in the captions.</p>`}</section>`
}

function configSection(config: object | undefined): Html {
  if (!config) return html``
  return html`<section><h2>Settings</h2><div class="columns">${factTable(settings(config, ''))}</div></section>`
}

/** Settings by dotted key. */
function settings(section: object, prefix: string): [string, string][] {
  return Object.entries(section).flatMap(([key, value]: [string, unknown]) => {
    if (value === undefined) return []
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? settings(value, `${prefix}${key}.`)
      : [[prefix + key, Array.isArray(value) ? value.join(', ') : String(value)]]
  })
}
