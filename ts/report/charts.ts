/** What a chart is, and its place on a report's page: drawn by a script on a screen, as it stands on paper. */
import { type Html, html } from './page.js'
import { chartSvg } from './static-chart.js'

export interface Series {
  readonly label: string
  /** CSS variable that holds its colour. */
  readonly colour: '--first' | '--second' | '--third'
  /** Single measurements are drawn with points. */
  readonly points: boolean
  readonly values: readonly (number | null)[]
}

/** One chart, as browser/charts.js and static-chart.ts draw it. */
export interface Chart {
  readonly title: string
  readonly unit: string
  readonly kind: 'line' | 'bars'
  /** Whether the vertical axis begins at 0 rather than below the smallest value. */
  readonly fromZero: boolean
  /** What the horizontal axis counts, in the singular: step, word. */
  readonly xLabel: string
  /** Ascending; of bars their middles, equally far apart. */
  readonly x: readonly number[]
  readonly series: readonly Series[]
}

/** The charts under a heading; nothing when there are none. */
export function chartsSection(title: string, charts: readonly Chart[]): Html {
  if (charts.length === 0) return html``
  return html`<section><h2>${title}</h2>
<div class="charts">${charts.map(
    (chart) => html`
<figure class="chart"><figcaption>${chart.title} <span class="soft">${chart.unit}</span></figcaption>
<div class="plot" role="img" aria-label="${inWords(chart)}"></div>
<div class="static">${{ markup: chartSvg(chart) }}</div></figure>`,
  )}</div></section>`
}

function inWords({ kind, title, xLabel, x, series }: Chart): string {
  const parts = series.map(({ label, values }) => {
    const known = values.map((value) => value ?? Number.NEGATIVE_INFINITY)
    const highest = known.indexOf(Math.max(...known))
    const last = values.findLast((value) => value !== null)
    return kind === 'line'
      ? `${label} ends at ${last?.toPrecision(4)}`
      : `${label} most often near ${x[highest]}`
  })
  return `${title} by ${xLabel}: ${parts.join(', ')}`
}
