/**
 * Applies learnt byte-pair merges to one piece of text. Learning them is left to byte-pair-training.ts,
 * cutting text into pieces to byte-pair.ts.
 */

import { createHeap } from './heap.js'

/** Two neighbouring tokens that become one, as strings in the byte alphabet. */
export type Merge = readonly [left: string, right: string]

/** A pair of ids as one number; ids stay below 2^24. */
export function pairKey(left: number, right: number): number {
  return left * 0x1000000 + right
}

interface Candidate {
  readonly rank: number
  readonly position: number
  readonly left: number
  readonly right: number
  readonly merged: number
}

/**
 * A function that merges the ids of single bytes as far as `merges` allow: of all neighbours the pair
 * learnt first, from the left. O(n log n) in the number of bytes, whatever they are.
 *
 * @param merges  first learnt first; both parts and their concatenation are in `ids`
 * @param ids  token to id
 */
export function pieceMerger(
  merges: readonly Merge[],
  ids: ReadonlyMap<string, number>,
): (bytes: readonly number[]) => number[] {
  const idOf = (token: string) => ids.get(token) as number
  const table = new Map<number, { readonly rank: number; readonly merged: number }>()
  merges.forEach(([left, right], rank) => {
    table.set(pairKey(idOf(left), idOf(right)), { rank, merged: idOf(left + right) })
  })

  return (bytes) => {
    const end = bytes.length
    const current = Int32Array.from(bytes) // the token that starts at each position, -1: absorbed
    const next = current.map((_, position) => position + 1)
    const previous = current.map((_, position) => position - 1)
    const queue = createHeap<Candidate>(
      (a, b) => a.rank < b.rank || (a.rank === b.rank && a.position < b.position),
    )
    const offer = (position: number) => {
      if (position < 0 || (next[position] as number) >= end) return
      const left = current[position] as number
      const right = current[next[position] as number] as number
      const merge = table.get(pairKey(left, right))
      if (merge) queue.push({ rank: merge.rank, merged: merge.merged, position, left, right })
    }
    current.forEach((_, position) => {
      offer(position)
    })
    for (let best = queue.pop(); best !== undefined; best = queue.pop()) {
      const { position, merged } = best
      const absorbed = next[position] as number
      if (current[position] !== best.left || current[absorbed] !== best.right) continue // outdated
      const after = next[absorbed] as number
      current[position] = merged
      current[absorbed] = -1
      next[position] = after
      if (after < end) previous[after] = position
      offer(previous[position] as number)
      offer(position)
    }
    return Array.from(current.filter((id) => id >= 0))
  }
}
