/** The page of a report: one HTML file that opens from the disk, without a network. What it shows is put together in run-report.ts. */
import { writeAtomic } from '../files/atomic.js'
import { flatSettings } from '../train/trackers/flat-settings.js'
import { version } from '../version.js'
import { type Chart, chartsSection } from './charts.js'
import { drawing } from './drawing.js'
import type { ReportedEvaluation } from './evaluation-file.js'
import { type GalleryGroup, gallerySection } from './gallery.js'
import { factTable, type Html, html, renderPage } from './page.js'
import { imageUse, type ReportedValidation, scoreTable, tiles, validationTiles } from './scores.js'
import { style } from './style.js'

type Facts = readonly (readonly [name: string, value: string])[]

export interface ReportInput {
  readonly title: string
  /** What was done, a sentence or two. */
  readonly summary?: string | undefined
  /** Facts of the run: versions, device, seeds, seconds, images/s. */
  readonly run: Facts
  /** Counts of the data. */
  readonly data: Facts
  /** What is wrong with the data and what was left out. */
  readonly problems: Facts
  /** Settings of the run, nested as they are. */
  readonly config?: object | undefined
  readonly curves: readonly Chart[]
  readonly histograms: readonly Chart[]
  readonly evaluation?: ReportedEvaluation | undefined
  /** The newest validation, for a run without an evaluation. */
  readonly validation?: ReportedValidation | undefined
  readonly pictures: readonly GalleryGroup[]
}

/** Writes the page. Throws CheckpointError when the file cannot be written; its folder must exist. */
export async function writeReport(path: string, input: ReportInput): Promise<void> {
  const text = await reportHtml(input)
  await writeAtomic(path, (file) => file.writeFile(text))
}

async function reportHtml(input: ReportInput): Promise<string> {
  const { title, summary, evaluation, validation, curves, histograms } = input
  const { styles, ...scripts } = await drawing([...curves, ...histograms])
  const body = html`<header><h1>${title}</h1>${summary !== undefined && html`<p>${summary}</p>`}</header>
${evaluation ? tiles(evaluation) : validation && validationTiles(validation)}
${evaluation && imageUse(evaluation)}
${evaluation && scoreTable(evaluation)}
${chartsSection('Curves', curves)}
${gallerySection(input.pictures)}
${chartsSection('Histograms', histograms)}
${factSection('Run', input.run)}
${dataSection(input)}
${configSection(input.config)}
<footer>Written by captioneer ${version}, ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC.
This file holds all it shows and loads nothing.</footer>`
  return renderPage({ title, body, styles: [...styles, style], ...scripts })
}

function factSection(title: string, facts: Facts): Html {
  return facts.length === 0 ? html`` : html`<section><h2>${title}</h2>${factTable(facts)}</section>`
}

function dataSection({ data, problems }: ReportInput): Html {
  if (data.length === 0 && problems.length === 0) return html``
  return html`<section><h2>Data</h2>${factTable(data)}
${
  problems.length > 0
    ? html`<h3>Faults of the data, and what was left out</h3>${factTable(problems)}`
    : html`<p class="soft">No fault was found in the data.</p>`
}</section>`
}

function configSection(config: object | undefined): Html {
  if (!config) return html``
  return html`<section><h2>Settings</h2><div class="columns">${factTable(flatSettings(config))}</div></section>`
}
