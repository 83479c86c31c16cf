/** Philox 4x32-10 (Salmon et al. 2011) as kernels use it for dropout, with big integers. */

/**
 * 0 where an element is dropped, else what keeps the mean; the probability is rounded to 1 / 65536.
 *
 * @param rng seed (low, high) and step, as kernels get them
 * @param tag the call site
 */
export function dropoutFactor(
  rng: ArrayLike<number>,
  tag: number,
  element: number,
  probability: number,
): number {
  const [low = 0, high = 0, step = 0] = Array.from(rng)
  const block = Math.floor(element / 8)
  const words = philox([block % 2 ** 32, Math.floor(block / 2 ** 32), tag, step], [low, high])
  const half = element % 8
  const word = words[half >> 1] ?? 0
  const bits = half % 2 === 0 ? word & 0xffff : word >>> 16
  const threshold = Math.min(Math.round(probability * 65536), 65535)
  return bits < threshold ? 0 : 65536 / (65536 - threshold)
}

function philox(counter: readonly number[], key: readonly number[]): readonly number[] {
  let [a = 0, b = 0, c = 0, d = 0] = counter.map((x) => x >>> 0)
  let [k = 0, l = 0] = key.map((x) => x >>> 0)
  for (let round = 0; round < 10; round++) {
    const p = BigInt(a) * 0xd2511f53n
    const q = BigInt(c) * 0xcd9e8d57n
    const upper = (x: bigint) => Number(x >> 32n)
    const lower = (x: bigint) => Number(x & 0xffffffffn)
    ;[a, b, c, d] = [(upper(q) ^ b ^ k) >>> 0, lower(q), (upper(p) ^ d ^ l) >>> 0, lower(p)]
    k = (k + 0x9e3779b9) >>> 0
    l = (l + 0xbb67ae85) >>> 0
  }
  return [a, b, c, d]
}
