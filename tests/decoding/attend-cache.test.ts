/** Attention with a cache of keys and values against attention without one, beams changing places on the way. */
import test from 'ava'
import { selfAttention } from '../../ts/ops/self-attention.js'
import { createRandom } from '../../ts/random.js'
import { empty, scope, type Tensor, tensor } from '../../ts/tensor.js'
import { device } from '../device.js'

for (const [rows, heads, size] of [
  [1, 1, 4],
  [6, 2, 16],
  [33, 3, 20],
  [64, 8, 32],
] as const)
  for (const reorders of [false, true])
    test(`${rows} rows, ${heads} heads of ${size}, ${reorders ? 'beams reordered' : 'in place'}`, async (t) => {
      const length = 9
      const channels = heads * size
      const random = createRandom(rows)
      const held = scope(() => ({
        keys: empty([rows, length, channels], 'float32', device),
        values: empty([rows, length, channels], 'float32', device),
      }))
      const steps = Array.from({ length }, () =>
        Float32Array.from({ length: rows * 3 * channels }, () => 4 * random() - 2),
      )
      let ancestors = Array.from({ length: rows }, (_, r) => new Int32Array(length).fill(r))
      for (let position = 0; position < length; position++) {
        const [actual, expected] = scope((): [Tensor, Tensor] => {
          const out = empty([rows, channels], 'float32', device)
          const qkv = tensor(steps[position] ?? [], [rows, 3 * channels], device)
          const table = Int32Array.from(ancestors.flatMap((row) => Array.from(row)))
          device.kernels.attendCache(
            out,
            held.keys,
            held.values,
            qkv,
            reorders ? tensor(table, [rows, length], device) : undefined,
            heads,
            position,
          )
          return [out, withoutCache(steps.slice(0, position + 1), ancestors, heads, channels)]
        })
        const [a, b] = [await actual.readFloats(), await expected.readFloats()]
        actual.release()
        expected.release()
        for (let r = 0; r < rows; r++)
          for (let c = 0; c < channels; c++) {
            const last = ((r + 1) * (position + 1) - 1) * channels + c
            const difference = Math.abs((a[r * channels + c] ?? Number.NaN) - (b[last] ?? 0))
            if (!(difference < 1e-5)) t.fail(`position ${position}, row ${r}: off by ${difference}`)
          }
        if (reorders)
          ancestors = ancestors.map((own, r) => {
            const parent = ancestors[Math.floor(random() * rows)] ?? own
            return Int32Array.from(own, (_, p) => (p <= position ? (parent[p] ?? 0) : r))
          })
      }
      held.keys.release()
      held.values.release()
      t.pass()
    })

/** All tokens of each row packed, each read where its beam was at that time. */
function withoutCache(
  steps: readonly Float32Array[],
  ancestors: readonly Int32Array[],
  heads: number,
  channels: number,
): Tensor {
  const width = 3 * channels
  const packed = ancestors.flatMap((row) =>
    steps.flatMap((step, p) => {
      const at = row[p] ?? 0
      return Array.from(step.subarray(at * width, (at + 1) * width))
    }),
  )
  const offsets = Int32Array.from({ length: ancestors.length + 1 }, (_, r) => r * steps.length)
  return selfAttention(
    {
      qkv: tensor(packed, [ancestors.length * steps.length, width], device),
      offsets: tensor(offsets, [offsets.length], device),
    },
    { heads, causal: true, maxLength: steps.length },
  )
}
