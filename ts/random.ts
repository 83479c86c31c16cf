/**
 * The one source of random numbers in TypeScript: counter-based, so that the same seed gives the same
 * numbers on every machine. Random numbers inside kernels are the backends' own.
 */

import { argumentError } from './errors.js'

/**
 * A stream of uniform numbers in [0, 1) with 53 random bits each: number i is Philox-2x32-10 of the
 * counter i under the key `seed`.
 *
 * @param seed an integer from 0 to 2^53 - 1
 * @throws ArgumentError for any other seed
 * Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (SC11), table 2.
 */
export function createRandom(seed: number): () => number {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw argumentError('random', 'seed', 'an integer from 0 to 2^53 - 1', seed)
  }
  const key = seed >>> 0
  const seedHigh = Math.floor(seed / 2 ** 32)
  const block: [number, number] = [0, 0]
  let counter = 0
  return () => {
    philox(block, counter++, seedHigh, key)
    return ((block[0] >>> 5) * 2 ** 26 + (block[1] >>> 6)) / 2 ** 53
  }
}

/**
 * A seeded permutation of 0..n-1 (Fisher-Yates); every order is equally likely.
 *
 * @param n an integer from 0 to 2^32 - 1
 * @throws ArgumentError for any other n, or a seed that `createRandom` refuses
 */
export function shuffled(n: number, seed: number): Uint32Array {
  if (!Number.isInteger(n) || n < 0 || n >= 2 ** 32) {
    throw argumentError('shuffled', 'n', 'an integer from 0 to 2^32 - 1', n)
  }
  const random = createRandom(seed)
  const order = Uint32Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const swapped = order[i] as number
    order[i] = order[j] as number
    order[j] = swapped
  }
  return order
}

/** Philox-2x32 with ten rounds: writes 64 random bits for the counter (low, high) and the key to `out`. */
export function philox(out: [number, number], low: number, high: number, key: number): void {
  let x = low >>> 0
  let y = high >>> 0
  let k = key >>> 0
  for (let round = 0; round < 10; round++) {
    const productHigh = multiplyHigh(x, 0xd256d193)
    const productLow = Math.imul(x, 0xd256d193)
    x = (productHigh ^ k ^ y) >>> 0
    y = productLow >>> 0
    k = (k + 0x9e3779b9) >>> 0
  }
  out[0] = x
  out[1] = y
}

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit integers; no sum below passes 2^32. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16)
  const carry = aLow * bHigh + (middle & 0xffff)
  return (aHigh * bHigh + (middle >>> 16) + (carry >>> 16)) >>> 0
}
