/**
 * A chart as SVG: for paper, for browsers without scripts, and for PNG files. On a screen uPlot draws the same chart
 * (browser/charts.js), which can be pointed at.
 */
import type { Chart, Series } from './charts.js'

/** Size in pixels, and what the axes and the legend take of it. */
const WIDTH = 480
const HEIGHT = 250
const LEFT = 58
const RIGHT = 12
const TOP = 26
const BOTTOM = 26

/** Colours as on the page; a PNG file has no page around it, and takes the light ones. */
const variables = ['--first', '--second', '--third', '--soft', '--line', '--card'] as const
export type Colours = Readonly<Record<(typeof variables)[number], string>>
const pageColours = Object.fromEntries(
  variables.map((name) => [name, `var(${name})`]),
) as unknown as Colours

/** The chart as one SVG element, 480 by 250 pixels. */
export function chartSvg(chart: Chart, colours: Colours = pageColours): string {
  const { kind, x, series, fromZero } = chart
  const values = series.flatMap((one) => one.values.filter((value) => value !== null))
  const half = kind === 'bars' ? ((x[1] ?? 1) - (x[0] ?? 0)) / 2 : 0
  const across = axis((x[0] ?? 0) - half, (x.at(-1) ?? 1) + half, LEFT, WIDTH - RIGHT, 6)
  const low = Math.min(...values)
  const high = Math.max(...values)
  const margin = (high - low || Math.abs(high) || 1) * 0.06
  const up = axis(
    fromZero ? 0 : low - margin,
    fromZero && high <= 0 ? 1 : high + margin,
    HEIGHT - BOTTOM,
    TOP,
    5,
  )
  const grid = [
    ...up.ticks.map((tick) => {
      const y = up.at(tick).toFixed(1)
      return (
        `<path d="M${LEFT} ${y}H${WIDTH - RIGHT}" stroke="${colours['--line']}"/>` +
        `<text x="${LEFT - 8}" y="${y}" dy="0.32em" text-anchor="end">${tickText(tick)}</text>`
      )
    }),
    ...across.ticks.map((tick) => {
      const at = across.at(tick).toFixed(1)
      return `<text x="${at}" y="${HEIGHT - 8}" text-anchor="middle">${tickText(tick)}</text>`
    }),
  ]
  const drawn = series.map((one, i) =>
    kind === 'line'
      ? linePath(one, x, across.at, up.at, colours)
      : bars(one, x, i, series.length, across.at, up.at, colours),
  )
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="presentation" ` +
    `font-family="system-ui, sans-serif" font-size="12" fill="${colours['--soft']}">` +
    `${grid.join('')}${drawn.join('')}${legend(series, colours)}</svg>`
  )
}

interface Axis {
  /** Pixels of a value. */
  readonly at: (value: number) => number
  readonly ticks: readonly number[]
}

/** A linear axis from `low` at `from` pixels to `high` at `to`, with about `count` round ticks. */
function axis(low: number, high: number, from: number, to: number, count: number): Axis {
  const range = high - low || 1
  const rough = range / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power
  const first = Math.ceil(low / step - 1e-9)
  const last = Math.floor(high / step + 1e-9)
  return {
    at: (value) => from + ((value - low) / range) * (to - from),
    ticks: Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step),
  }
}

function linePath(
  { values, points, colour }: Series,
  x: readonly number[],
  across: (value: number) => number,
  up: (value: number) => number,
  colours: Colours,
): string {
  const places = values.flatMap((value, i) =>
    value === null ? [] : [`${across(x[i] ?? 0).toFixed(1)} ${up(value).toFixed(1)}`],
  )
  const dots = points
    ? places.map((place) => {
        const [cx, cy] = place.split(' ')
        return `<circle cx="${cx}" cy="${cy}" r="2.5" fill="${colours[colour]}"/>`
      })
    : []
  return `<path d="M${places.join('L')}" fill="none" stroke="${colours[colour]}" stroke-width="1.6" stroke-linejoin="round"/>${dots.join('')}`
}

function bars(
  { values, colour }: Series,
  x: readonly number[],
  place: number,
  count: number,
  across: (value: number) => number,
  up: (value: number) => number,
  colours: Colours,
): string {
  const bin = across(x[1] ?? 1) - across(x[0] ?? 0)
  const width = (bin * 0.84) / count
  const rectangles = values.flatMap((value, i) => {
    if (value === null || value === 0) return []
    const left = across(x[i] ?? 0) - (width * count) / 2 + width * place
    const top = up(value)
    const size = `width="${width.toFixed(1)}" height="${(up(0) - top).toFixed(1)}"`
    return [`<rect x="${left.toFixed(1)}" y="${top.toFixed(1)}" ${size}/>`]
  })
  return `<g fill="${colours[colour]}">${rectangles.join('')}</g>`
}

function legend(series: readonly Series[], colours: Colours): string {
  let left = LEFT
  const entries = series.map(({ label, colour }) => {
    const at = left
    left += 26 + label.length * 6.6
    return `<rect x="${at}" y="7" width="9" height="9" rx="2" fill="${colours[colour]}"/><text x="${at + 14}" y="15.5">${label}</text>`
  })
  return entries.join('')
}

function tickText(value: number): string {
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(0)
  if (Math.abs(value) >= 10_000) return `${Number((value / 1000).toPrecision(4))}k`
  return String(Number(value.toPrecision(4)))
}
