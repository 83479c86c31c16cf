/**
 * Learns byte-pair merges: again and again, the most frequent pair of neighbouring tokens becomes a
 * token. Cutting text into pieces is left to byte-pair.ts, applying merges to byte-pair-merging.ts.
 * Source: Sennrich et al. 2016, arXiv:1508.07909; pair counts are kept up to date from merge to merge.
 */

import { type Merge, pairKey } from './byte-pair-merging.js'
import { createHeap } from './heap.js'

interface Candidate {
  readonly left: number
  readonly right: number
  readonly count: number
}

/**
 * Extends `tokens` by merged tokens up to `size` entries, or until no pair occurs `minCount` times.
 * Equal counts: the pair with the smaller ids first, so the order of `pieces` does not matter.
 *
 * @param pieces  ids of each different piece of text, and how often it occurs; rewritten in place
 * @param tokens  the vocabulary by id; grows
 * @returns the merges, first learnt first
 */
export function learnMerges(
  pieces: readonly { ids: number[]; readonly count: number }[],
  tokens: string[],
  size: number,
  minCount: number,
): Merge[] {
  const known = new Map(tokens.map((token, id) => [token, id]))
  const counts = new Map<number, number>()
  const places = new Map<number, Set<number>>()
  const queue = createHeap<Candidate>(
    (a, b) =>
      a.count > b.count ||
      (a.count === b.count && (a.left < b.left || (a.left === b.left && a.right < b.right))),
  )
  const merges: Merge[] = []

  let changed = new Map<number, readonly [left: number, right: number]>()
  const addPairs = (piece: number, sign: 1 | -1) => {
    const { ids, count } = pieces[piece] as { ids: number[]; count: number }
    for (let i = 1; i < ids.length; i++) {
      const left = ids[i - 1] as number
      const right = ids[i] as number
      const key = pairKey(left, right)
      counts.set(key, (counts.get(key) ?? 0) + sign * count)
      changed.set(key, [left, right])
      if (sign < 0) continue
      const found = places.get(key)
      if (found) found.add(piece)
      else places.set(key, new Set([piece]))
    }
  }
  const queueChanged = () => {
    for (const [key, [left, right]] of changed) {
      const count = counts.get(key) ?? 0
      if (count >= minCount) queue.push({ left, right, count })
      else if (count === 0) counts.delete(key)
    }
    changed = new Map()
  }

  pieces.forEach((_, piece) => {
    addPairs(piece, 1)
  })
  queueChanged()
  while (tokens.length < size) {
    const best = queue.pop()
    if (best === undefined) break
    const key = pairKey(best.left, best.right)
    if (counts.get(key) !== best.count) continue // its count changed after it was queued
    const merge: Merge = [tokens[best.left] as string, tokens[best.right] as string]
    merges.push(merge)
    // Two different pairs can spell the same token ("a"+"bc", "ab"+"c"): it keeps one id.
    const token = merge.join('')
    const id = known.get(token) ?? tokens.push(token) - 1
    known.set(token, id)
    for (const place of places.get(key) ?? []) {
      const piece = pieces[place] as { ids: number[] }
      addPairs(place, -1)
      piece.ids = mergePair(piece.ids, best.left, best.right, id)
      addPairs(place, 1)
    }
    places.delete(key)
    queueChanged()
  }
  return merges
}

/** `ids` with every left-right pair, from the left, replaced by `merged`. */
function mergePair(ids: readonly number[], left: number, right: number, merged: number): number[] {
  const result: number[] = []
  for (let i = 0; i < ids.length; i++) {
    const isPair = ids[i] === left && ids[i + 1] === right
    result.push(isPair ? merged : (ids[i] as number))
    if (isPair) i++
  }
  return result
}
