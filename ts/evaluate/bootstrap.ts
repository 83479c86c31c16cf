/** How far a score would move on other images of the same kind: bootstrap intervals over images. */

import { ArgumentError, argumentError } from '../errors.js'
import { createRandom } from '../random.js'
import { type BleuCounts, bleuOfCounts, sumCounts } from './bleu.js'

/** A 95 % interval, in the unit of the figure. */
export interface Interval {
  readonly low: number
  readonly high: number
}

export interface BootstrapOptions {
  /** Resamples drawn, at least 100. */
  readonly samples?: number
  readonly seed: number
}

/**
 * The 95 % percentile interval of a figure over images: images are drawn with replacement, the figure is
 * computed for each draw, and the 2.5th and 97.5th percentiles are taken.
 *
 * @param perImage one value for each image: CIDEr, ROUGE-L, a difference of losses, or BLEU counts
 * @param statistic of the drawn images; by default the mean. `corpusBleu(n)` is there for BLEU counts
 * @throws ArgumentError without images, or for options out of range
 * Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.
 */
export function bootstrapInterval(perImage: readonly number[], options: BootstrapOptions): Interval
export function bootstrapInterval<T>(
  perImage: readonly T[],
  options: BootstrapOptions,
  statistic: (drawn: readonly T[]) => number,
): Interval
export function bootstrapInterval<T>(
  perImage: readonly T[],
  { samples = 1000, seed }: BootstrapOptions,
  statistic: (drawn: readonly T[]) => number = (drawn) => mean(drawn as readonly number[]),
): Interval {
  if (perImage.length === 0) {
    throw new ArgumentError('bootstrap: expected the values of at least one image, received none')
  }
  if (!Number.isInteger(samples) || samples < 100) {
    throw argumentError('bootstrap', 'samples', 'an integer of at least 100', samples)
  }
  const random = createRandom(seed)
  const drawn = perImage.slice()
  const figures = Float64Array.from({ length: samples }, () => {
    for (let i = 0; i < drawn.length; i++) {
      drawn[i] = perImage[Math.floor(random() * perImage.length)] as T
    }
    return statistic(drawn)
  }).sort()
  return { low: percentile(figures, 0.025), high: percentile(figures, 0.975) }
}

/** The statistic "corpus BLEU-n" (0-1, n = 1..4) of BLEU counts of images, for `bootstrapInterval`. */
export function corpusBleu(n: number): (drawn: readonly BleuCounts[]) => number {
  if (!Number.isInteger(n) || n < 1 || n > 4) {
    throw argumentError('corpus BLEU', 'n', 'an integer from 1 to 4', n)
  }
  return (drawn) => bleuOfCounts(sumCounts(drawn))[n - 1] as number
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Linear interpolation between the two nearest of the sorted values. */
function percentile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1)
  const below = Math.floor(place)
  const low = sorted[below] as number
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number
  return low + (high - low) * (place - below)
}
