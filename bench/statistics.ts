/** Medians and spreads of times, and ratios of two sides that took turns. */

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** NaN when there are none. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const low = sorted[Math.ceil(middle) - 1] ?? Number.NaN
  const high = sorted[Math.floor(middle)] ?? Number.NaN
  return {
    median: (low + high) / 2,
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
  }
}

/** A stretch of work of one side: `count` times, each time's milliseconds. */
export type Side = (count: number) => Promise<readonly number[]>

export interface Comparison {
  /** Milliseconds of one step or call. */
  readonly ours: Spread
  /** Steps or calls of a turn. */
  readonly count: number
  readonly peer?: Spread
  /** Speed of ours / speed of the peer's, of the medians of blocks side by side. */
  readonly ratio?: Spread
}

/**
 * Lets the sides work in turns, ours first: a machine that slows down meanwhile slows both.
 * @param blocks        turns of each side
 * @param blockSeconds  about how long a turn of ours takes; the other side does the same number of times
 * @param warmUp        how many times each side works before: the first allocate, compile, record and fill caches
 */
export async function compare(
  ours: Side,
  peer: Side | undefined,
  blocks: number,
  blockSeconds: number,
  warmUp = 1,
): Promise<Comparison> {
  await ours(warmUp)
  await peer?.(warmUp)
  const once = spread(await ours(2)).min
  await peer?.(2)
  const count = Math.max(1, Math.round((blockSeconds * 1000) / once))
  const times: { ours: number[]; peer: number[]; ratio: number[] } = {
    ours: [],
    peer: [],
    ratio: [],
  }
  for (let block = 0; block < blocks; block++) {
    const own = await ours(count)
    times.ours.push(...own)
    if (!peer) continue
    const other = await peer(count)
    times.peer.push(...other)
    times.ratio.push(spread(other).median / spread(own).median)
  }
  return {
    ours: spread(times.ours),
    count,
    ...(peer ? { peer: spread(times.peer), ratio: spread(times.ratio) } : {}),
  }
}
