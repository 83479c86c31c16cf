/** The script of a report's page that draws its charts with uPlot, and uPlot itself, read from its package. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Chart } from './curves.js'
import { scriptLiteral } from './page.js'

/** uPlot's style sheet, and the scripts that draw `charts` into the page's `.plot` elements, in order. */
export async function drawCurves(
  charts: readonly Chart[],
): Promise<{ readonly styles: readonly string[]; readonly scripts: readonly string[] }> {
  if (charts.length === 0) return { styles: [], scripts: [] }
  const { resolve } = createRequire(import.meta.url)
  const [library, style] = await Promise.all(
    ['uplot/dist/uPlot.iife.min.js', 'uplot/dist/uPlot.min.css'].map((file) =>
      readFile(resolve(file), 'utf8'),
    ),
  )
  return {
    styles: [style as string],
    scripts: [library as string, `(${DRAW})(${scriptLiteral(charts)})`],
  }
}

// Colours are looked up when drawing, so that a change between light and dark needs only a redraw.
const DRAW = `function (charts) {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
  const short = (v) => v == null ? '' : v !== 0 && Math.abs(v) < 0.001 ? v.toExponential(1) : String(+v.toPrecision(4))
  const axis = (size) => ({
    stroke: () => colour('--soft'), size, font: '12px system-ui, sans-serif',
    grid: { stroke: () => colour('--line'), width: 1 }, ticks: { show: false },
  })
  const plots = [...document.querySelectorAll('.plot')].map((place, i) => {
    const { steps, series, fromZero } = charts[i]
    const plot = new uPlot({
      width: place.clientWidth || 400, height: 210,
      scales: { x: { time: false }, y: fromZero ? { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } : {} },
      cursor: { y: false },
      axes: [axis(30), { ...axis(58), values: (_, ticks) => ticks.map(short) }],
      series: [{ label: 'step' }, ...series.map(({ label, colour: name, points }) => ({
        label, stroke: () => colour(name), width: 1.6, spanGaps: true, value: (_, v) => short(v) || '–',
        points: { show: points, size: 5, fill: () => colour(name), width: 0 },
      }))],
    }, [steps, ...series.map(({ values }) => values)], place)
    new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 210 })).observe(place)
    return plot
  })
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plots.forEach((plot) => plot.redraw()))
}`
