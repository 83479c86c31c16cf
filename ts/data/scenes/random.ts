/** Random numbers for the generated scenes: a pure function of (seed, index, stream, draw), so that no scene depends on another. */

/** Numbers in [0, 1), the next at each call; other seeds, indices and streams give unrelated ones. */
export type Random = () => number

/** The random numbers of one scene; `stream` keeps, say, its layout apart from its captions. */
export function sceneRandom(seed: number, index: number, stream: number): Random {
  const seedKey = mix(mix(seed) + stream)
  const indexKey = mix(index + 0x3c6ef372)
  let draw = 0
  return () => mix(mix(seedKey + Math.imul(++draw, 0x9e3779b9)) ^ indexKey) / 2 ** 32
}

/** One entry of `list`, which must not be empty. */
export function pick<T>(list: readonly T[], random: Random): T {
  return list[Math.floor(random() * list.length)] as T
}

/** A copy of `list` in random order (Fisher-Yates). */
export function shuffled<T>(list: readonly T[], random: Random): T[] {
  const copy = [...list]
  for (let last = copy.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    ;[copy[last], copy[other]] = [copy[other] as T, copy[last] as T]
  }
  return copy
}

// The 32-bit finaliser of MurmurHash3 (Austin Appleby): a bijection in which each input bit flips half of the output bits.
function mix(value: number): number {
  let bits = value >>> 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}
