/** Curves over the steps of a run, from the rows of history.jsonl. How they are drawn is drawing.ts. */
import type { Chart, Series } from './charts.js'

/** Points that a curve keeps; of a longer one, neighbours are averaged. */
const MOST_POINTS = 600

type Row = Readonly<Record<string, unknown>>

interface Line {
  readonly label: string
  readonly kind: 'step' | 'validation'
  readonly key: string
  readonly scale?: number
  /** Whether the steps are those of self-critical training, whose loss is no cross-entropy; both kinds when left out. */
  readonly selfCritical?: boolean
}

const CHARTS: readonly {
  readonly title: string
  readonly unit: string
  readonly fromZero: boolean
  readonly lines: readonly Line[]
}[] = [
  {
    title: 'Loss',
    unit: 'nats per token',
    fromZero: false,
    lines: [
      { label: 'training', kind: 'step', key: 'loss', selfCritical: false },
      { label: 'validation', kind: 'validation', key: 'loss' },
    ],
  },
  {
    title: 'Captions of validation images',
    unit: 'score x 100',
    fromZero: true,
    lines: [
      { label: 'BLEU-4', kind: 'validation', key: 'bleu4', scale: 100 },
      { label: 'CIDEr-D', kind: 'validation', key: 'cider', scale: 100 },
    ],
  },
  {
    title: 'Reward',
    unit: 'mean CIDEr-D of sampled captions x 100',
    fromZero: true,
    lines: [{ label: 'reward', kind: 'step', key: 'reward', scale: 100 }],
  },
  {
    title: 'Self-critical loss',
    unit: 'of sampled captions, by their advantage',
    fromZero: false,
    lines: [{ label: 'loss', kind: 'step', key: 'loss', selfCritical: true }],
  },
  {
    title: 'Learning rate',
    unit: 'of the decoder',
    fromZero: true,
    lines: [{ label: 'learning rate', kind: 'step', key: 'learningRate' }],
  },
  {
    title: 'Gradient norm',
    unit: 'before clipping',
    fromZero: true,
    lines: [{ label: 'gradient norm', kind: 'step', key: 'gradientNorm' }],
  },
  {
    title: 'Speed',
    unit: 'images per second',
    fromZero: true,
    lines: [{ label: 'images/s', kind: 'step', key: 'imagesPerSecond' }],
  },
]

/** The charts of a history that have anything to show; rows and numbers that are none are passed over. */
export function chartsOf(history: readonly Row[]): Chart[] {
  return CHARTS.flatMap(({ title, unit, fromZero, lines }) => {
    const curves = lines.map((line) => ({ line, points: thinned(pointsOf(history, line)) }))
    if (curves.every(({ points }) => points.length < 2)) return []
    const x = [...new Set(curves.flatMap(({ points }) => points.map(([step]) => step)))]
    x.sort((a, b) => a - b)
    const series = curves.flatMap(({ line, points }, i): Series[] => {
      if (points.length === 0) return []
      const at = new Map(points)
      return [
        {
          label: line.label,
          colour: i === 0 ? '--first' : '--second',
          points: line.kind === 'validation',
          values: x.map((step) => rounded(at.get(step))),
        },
      ]
    })
    return [{ title, unit, kind: 'line' as const, fromZero, xLabel: 'step', x, series }]
  })
}

function pointsOf(
  history: readonly Row[],
  { kind, key, scale = 1, selfCritical }: Line,
): [number, number][] {
  return history.flatMap((row): [number, number][] => {
    const value = row[key]
    if (row.kind !== kind || typeof row.step !== 'number') return []
    if (selfCritical !== undefined && selfCritical !== (row.reward !== undefined)) return []
    return typeof value === 'number' && Number.isFinite(value) ? [[row.step, value * scale]] : []
  })
}

/** As exact as a screen can show, in few digits. */
function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Number(value.toPrecision(6))
}

/** At most MOST_POINTS points: the mean step and value of each run of neighbours. */
function thinned(points: [number, number][]): [number, number][] {
  const run = Math.ceil(points.length / MOST_POINTS)
  if (run <= 1) return points
  return Array.from({ length: Math.ceil(points.length / run) }, (_, i) => {
    const part = points.slice(i * run, (i + 1) * run)
    const mean = (of: 0 | 1) => part.reduce((sum, point) => sum + point[of], 0) / part.length
    return [Math.round(mean(0)), mean(1)]
  })
}
