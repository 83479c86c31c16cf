/** Random choices for the generated scenes: each scene has streams of its own, so that no scene depends on another. */
import { philox } from '../../random.js'

/** Numbers in [0, 1), the next at each call. */
export type Random = () => number

/**
 * The random numbers of scene `index` of the series `seed` (both integers from 0 to 2^32 - 1): Philox of the counter
 * (draw, index) under the key `seed`. `stream`, 0-255, keeps, say, a scene's layout apart from its captions.
 */
export function sceneRandom(seed: number, index: number, stream: number): Random {
  const block: [number, number] = [0, 0]
  let draw = stream * 2 ** 24
  return () => {
    philox(block, draw++, index, seed)
    return block[0] / 2 ** 32
  }
}

/** One entry of `list`, which must not be empty. */
export function pick<T>(list: readonly T[], random: Random): T {
  return list[Math.floor(random() * list.length)] as T
}

/** A copy of `list` in random order (Fisher-Yates). */
export function inRandomOrder<T>(list: readonly T[], random: Random): T[] {
  const copy = [...list]
  for (let last = copy.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    const moved = copy[last] as T
    copy[last] = copy[other] as T
    copy[other] = moved
  }
  return copy
}
