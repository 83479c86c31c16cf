/** Histograms of an evaluation: how long captions are, beside the references, and how CIDEr-D spreads over the images. */
import type { Chart } from './charts.js'
import type { ReportedEvaluation } from './evaluation-file.js'

/** Captions of more words are counted with these. */
const MOST_WORDS = 40
/** About so many bars for CIDEr-D. */
const SCORE_BARS = 24

/** The histograms; none without captions. */
export function histogramsOf({ predictions }: ReportedEvaluation): Chart[] {
  if (predictions.length === 0) return []
  return [lengths(predictions), scores(predictions.map(({ cider }) => 100 * cider))]
}

function lengths(predictions: ReportedEvaluation['predictions']): Chart {
  const words = (text: string) =>
    Math.min(MOST_WORDS, text.split(/\s+/u).filter((word) => word !== '').length)
  const own = predictions.map(({ caption }) => words(caption))
  const references = predictions.flatMap((prediction) => prediction.references.map(words))
  const x = range(Math.min(...own, ...references), Math.max(...own, ...references))
  const shares = (of: readonly number[]) => percentages(of, x, 1)
  return {
    title: 'Length of captions',
    unit: '% of captions, by words',
    kind: 'bars',
    fromZero: true,
    xLabel: 'words',
    x,
    series: [
      { label: 'this model', colour: '--first', points: false, values: shares(own) },
      { label: 'references', colour: '--third', points: false, values: shares(references) },
    ],
  }
}

function scores(values: readonly number[]): Chart {
  const highest = Math.max(...values)
  const width = [5, 10, 20, 25, 50].find((size) => size * SCORE_BARS >= highest) ?? 100
  const x = range(0, Math.floor(highest / width)).map((bin) => (bin + 0.5) * width)
  return {
    title: 'CIDEr-D of single images',
    unit: '% of images, by score x 100',
    kind: 'bars',
    fromZero: true,
    xLabel: 'CIDEr-D near',
    x,
    series: [
      { label: 'images', colour: '--first', points: false, values: percentages(values, x, width) },
    ],
  }
}

/** Of 100 values, how many are nearest to each of `middles`. */
function percentages(
  values: readonly number[],
  middles: readonly number[],
  width: number,
): number[] {
  const counts = middles.map(() => 0)
  const first = (middles[0] ?? 0) - width / 2
  for (const value of values) {
    const bin = Math.min(counts.length - 1, Math.max(0, Math.floor((value - first) / width)))
    counts[bin] = (counts[bin] ?? 0) + 1
  }
  return counts.map((count) => Number(((100 * count) / Math.max(1, values.length)).toFixed(2)))
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}
