/** What the attention kernels promise beyond what the ops use: causal rows that share keys, and checked offsets. */
import ava from 'ava'
import { openDevice, synchronize } from '../../ts/native.js'
import { selfAttention } from '../../ts/ops/self-attention.js'
import { createRandom } from '../../ts/random.js'
import { empty, scope, type Tensor, tensor } from '../../ts/tensor.js'

// One after another: an error of queued work goes to the next read.
const test = ava.serial
const device = openDevice('cpu')
const [heads, channels] = [2, 16]

function random(rows: number, columns: number, seed: number): Float32Array {
  const next = createRandom(seed)
  return Float32Array.from({ length: rows * columns }, () => 2 * next() - 1)
}

const upload = (data: Float32Array, columns: number) =>
  tensor(data, [data.length / columns, columns], device)

const offsetsOf = (...offsets: number[]) =>
  tensor(Int32Array.from(offsets), [offsets.length], device)

/** Rows of queries that share keys and values, causal: outputs and the gradients of all three. */
function attendShared(
  parts: readonly Float32Array[],
  dout: Float32Array,
  lengths: readonly number[],
) {
  const [q, k, v] = parts.map((part) => upload(part, channels)) as [Tensor, Tensor, Tensor]
  const [queries, keys] = [q.shape[0] ?? 0, k.shape[0] ?? 0]
  const ends = lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))
  const like = (t: Tensor) => empty(t.shape, 'float32', device)
  const [out, dq, dk, dv] = [like(q), like(q), like(k), like(v)]
  const logSumExp = empty([heads, queries], 'float32', device)
  const [queryOffsets, keyOffsets] = [offsetsOf(0, ...ends), offsetsOf(0, keys)]
  const rest = [heads, lengths.length, true, 0, 0, Math.max(...lengths), keys] as const
  device.kernels.attention(out, logSumExp, q, k, v, queryOffsets, keyOffsets, undefined, ...rest)
  device.kernels.attentionBackward(
    dq,
    dk,
    dv,
    upload(dout, channels),
    out,
    logSumExp,
    q,
    k,
    v,
    queryOffsets,
    keyOffsets,
    undefined,
    ...rest,
  )
  return [out, dq, dk, dv]
}

async function read(tensors: readonly Tensor[]): Promise<Float32Array[]> {
  const arrays = await Promise.all(tensors.map((t) => t.readFloats()))
  for (const t of tensors) t.release()
  return arrays
}

test('causal rows that share keys: as each row alone, gradients of keys summed', async (t) => {
  const lengths = [17, 41, 50, 3]
  const total = 111
  const [q, k, v, dout] = [total, 50, 50, total].map((rows, i) => random(rows, channels, i)) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ]
  const together = await read(scope(() => attendShared([q, k, v], dout, lengths)))
  const [dk, dv] = [new Float32Array(50 * channels), new Float32Array(50 * channels)]
  let start = 0
  for (const length of lengths) {
    const part = (x: Float32Array) => x.subarray(start * channels, (start + length) * channels)
    const alone = await read(scope(() => attendShared([part(q), k, v], part(dout), [length])))
    for (const i of [0, 1]) near(t, part(together[i] ?? q), alone[i] ?? q)
    for (const [i, sum] of [dk, dv].entries())
      for (const [j, x] of (alone[i + 2] ?? q).entries()) sum[j] = (sum[j] ?? 0) + x
    start += length
  }
  near(t, together[2] ?? q, dk)
  near(t, together[3] ?? q, dv)
})

function near(t: import('ava').ExecutionContext, actual: Float32Array, expected: Float32Array) {
  t.is(actual.length, expected.length)
  const worst = actual.reduce((w, x, i) => Math.max(w, Math.abs(x - (expected[i] ?? 0))), 0)
  t.true(worst < 1e-5, `off by ${worst}`)
}

test('offsets that leave the tokens, and rows longer than said, are errors', async (t) => {
  const attend = (maxLength: number, ...offsets: number[]) =>
    scope(() => {
      const qkv = upload(random(8, 3 * channels, 1), 3 * channels)
      selfAttention({ qkv, offsets: offsetsOf(...offsets) }, { heads, causal: true, maxLength })
    })
  attend(8, 0, 9)
  await t.throwsAsync(synchronize(device), {
    message: 'attention: offsets of queries must rise from 0 to 8',
  })
  attend(8, 0, 5, 3, 8)
  await t.throwsAsync(synchronize(device), { message: /must rise from 0 to 8/ })
  attend(4, 0, 3, 8)
  await t.throwsAsync(synchronize(device), {
    message: 'attention: row 1 has 5 keys, more than the given maximum of 4',
  })
})
