/** 95 % intervals that are no plain means over images: of losses, of differences of losses, of shares. */
import { ArgumentError } from '../errors.js'
import { type BootstrapOptions, bootstrapInterval, type Interval } from './bootstrap.js'

/** Nats of all captions of an image together, and their tokens. */
export interface ImageLoss {
  readonly nats: number
  readonly tokens: number
}

/** The interval of Σ nats / Σ tokens over images. */
export function lossInterval(losses: readonly ImageLoss[], options: BootstrapOptions): Interval {
  return bootstrapInterval(losses, options, meanLoss)
}

/**
 * The interval of loss `a` - loss `b`, both over the same images in the same order. Much narrower than what the two
 * intervals suggest, because hard images are hard for both.
 * @throws ArgumentError when the lists differ in length
 */
export function pairedInterval(
  a: readonly ImageLoss[],
  b: readonly ImageLoss[],
  options: BootstrapOptions,
): Interval {
  if (a.length !== b.length)
    throw new ArgumentError(
      `paired interval: expected losses of the same images, received ${a.length} and ${b.length}`,
    )
  const differences = a.map(({ nats, tokens }, i) => ({ nats: nats - (b[i]?.nats ?? 0), tokens }))
  return lossInterval(differences, options)
}

function meanLoss(losses: readonly ImageLoss[]): number {
  let nats = 0
  let tokens = 0
  for (const loss of losses) {
    nats += loss.nats
    tokens += loss.tokens
  }
  return nats / tokens
}

/**
 * Wilson's interval of a share, 0-1, which is right near 0 and 1 too, where resampling finds no spread.
 * Source: Wilson 1927, Journal of the American Statistical Association 22 (158), page 209.
 */
export function shareInterval(hits: number, trials: number): Interval {
  const z = 1.959964
  const share = hits / trials
  const centre = share + z ** 2 / (2 * trials)
  const spread = z * Math.sqrt((share * (1 - share)) / trials + (z / (2 * trials)) ** 2)
  const scale = 1 + z ** 2 / trials
  return {
    low: Math.max(0, (centre - spread) / scale),
    high: Math.min(1, (centre + spread) / scale),
  }
}
