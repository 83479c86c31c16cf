/** The random stream against published values, and that shuffles are fair permutations. */

import test from 'ava'
import { ArgumentError } from '../ts/errors.js'
import { createRandom, philox, shuffled } from '../ts/random.js'

test('philox gives the known answers of Random123 (kat_vectors, philox2x32 10)', (t) => {
  const cases = [
    [0, 0, 0, 0xff1dae59, 0x6cd10df2],
    [0xffffffff, 0xffffffff, 0xffffffff, 0x2c3f628b, 0xab4fd7ad],
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0xdd7ce038, 0xf62a4c12],
  ] as const
  for (const [low, high, key, first, second] of cases) {
    const out: [number, number] = [0, 0]
    philox(out, low, high, key)
    t.deepEqual(out, [first, second])
  }
})

test('createRandom: uniform in [0, 1), same seed same numbers, other seed other numbers', (t) => {
  const random = createRandom(7)
  const again = createRandom(7)
  const other = createRandom(7 + 2 ** 32)
  let sum = 0
  let squares = 0
  let equal = 0
  for (let i = 0; i < 100_000; i++) {
    const value = random()
    if (!(value >= 0 && value < 1)) t.fail(`${value} is outside [0, 1)`)
    if (value !== again()) t.fail('the same seed gave another number')
    if (value === other()) equal++
    sum += value
    squares += value * value
  }
  t.is(equal, 0)
  t.true(Math.abs(sum / 100_000 - 1 / 2) < 0.004)
  t.true(Math.abs(squares / 100_000 - 1 / 3) < 0.004)
})

test('createRandom refuses seeds that are not whole numbers from 0', (t) => {
  for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) {
    t.throws(() => createRandom(seed), { instanceOf: ArgumentError, message: /seed/ })
  }
})

test('shuffled: a permutation for each size, the same for the same seed', (t) => {
  for (const n of [0, 1, 2, 33, 1000]) {
    t.deepEqual(
      [...shuffled(n, 3)].sort((a, b) => a - b),
      Array.from({ length: n }, (_, i) => i),
    )
  }
  t.deepEqual(shuffled(1000, 3), shuffled(1000, 3))
  t.notDeepEqual(shuffled(1000, 3), shuffled(1000, 4))
  t.throws(() => shuffled(-1, 0), { instanceOf: ArgumentError })
})

test('shuffled: all orders of three are equally likely', (t) => {
  const seen = new Map<string, number>()
  for (let seed = 0; seed < 6000; seed++) {
    const order = shuffled(3, seed).join()
    seen.set(order, (seen.get(order) ?? 0) + 1)
  }
  t.is(seen.size, 6)
  for (const count of seen.values()) t.true(Math.abs(count - 1000) < 150)
})
