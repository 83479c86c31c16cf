/** What the attention kernels promise beyond what the ops use: causal rows that share keys, and what odd offsets do. */
import ava from 'ava'
import { synchronize } from '../../ts/native.js'
import type { FloatDtype } from '../../ts/ops/define-op.js'
import { selfAttention } from '../../ts/ops/self-attention.js'
import { createRandom } from '../../ts/random.js'
import { empty, scope, type Tensor, tensor } from '../../ts/tensor.js'
import { device, dtypes, upload } from '../device.js'

// One after another: an error of queued work goes to the next read.
const test = ava.serial
const heads = 2

function random(rows: number, columns: number, seed: number): Float32Array {
  const next = createRandom(seed)
  return Float32Array.from({ length: rows * columns }, () => 2 * next() - 1)
}

const offsetsOf = (...offsets: number[]) =>
  tensor(Int32Array.from(offsets), [offsets.length], device)

interface Rows {
  readonly channels: number
  readonly dtype: FloatDtype
  readonly queryOffsets: readonly number[]
  readonly keyOffsets: readonly number[]
  readonly maxQueries: number
  readonly maxKeys: number
}

/** Causal attention of q to k and v: outputs and the gradients of all three. */
function attend(parts: readonly Float32Array[], dout: Float32Array, rows: Rows): Tensor[] {
  const { channels, dtype, maxQueries, maxKeys } = rows
  const matrix = (x: Float32Array) => upload(x, [x.length / channels, channels], dtype)
  const [q, k, v] = parts.map(matrix) as [Tensor, Tensor, Tensor]
  const like = (t: Tensor) => empty(t.shape, dtype, device)
  const [out, dq, dk, dv] = [like(q), like(q), like(k), like(v)]
  const logSumExp = empty([heads, q.shape[0] ?? 0], 'float32', device)
  const offsets = [offsetsOf(...rows.queryOffsets), offsetsOf(...rows.keyOffsets)] as const
  const rowsPerKey = (rows.queryOffsets.length - 1) / (rows.keyOffsets.length - 1)
  const rest = [...offsets, undefined, heads, rowsPerKey, true, 0, 0, maxQueries, maxKeys] as const
  device.kernels.attention(out, logSumExp, q, k, v, ...rest)
  device.kernels.attentionBackward(dq, dk, dv, matrix(dout), out, logSumExp, q, k, v, ...rest)
  return [out, dq, dk, dv]
}

/** Rows of queries that share all keys. */
function attendShared(
  parts: readonly Float32Array[],
  dout: Float32Array,
  lengths: readonly number[],
  options: { readonly channels: number; readonly dtype: FloatDtype },
) {
  const keys = (parts[1]?.length ?? 0) / options.channels
  return attend(parts, dout, {
    ...options,
    queryOffsets: [0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))],
    keyOffsets: [0, keys],
    maxQueries: Math.max(...lengths),
    maxKeys: keys,
  })
}

async function read(tensors: readonly Tensor[]): Promise<Float32Array[]> {
  const arrays = await Promise.all(tensors.map((t) => t.readFloats()))
  for (const t of tensors) t.release()
  return arrays
}

const kinds = dtypes.flatMap((dtype) => [16, 64].map((channels) => ({ dtype, channels })))

for (const kind of kinds)
  test(`causal rows that share keys, ${heads} heads of ${kind.channels / heads}, ${kind.dtype}: as each row alone, gradients of keys summed`, async (t) => {
    const { channels, dtype } = kind
    const lengths = [17, 41, 50, 3]
    const total = 111
    const [q, k, v, dout] = [total, 50, 50, total].map((rows, i) => random(rows, channels, i)) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ]
    const near = (actual: Float32Array, expected: Float32Array) => {
      t.is(actual.length, expected.length)
      const largest = expected.reduce((w, x) => Math.max(w, Math.abs(x)), 1)
      const worst = actual.reduce((w, x, i) => Math.max(w, Math.abs(x - (expected[i] ?? 0))), 0)
      t.true(worst < (dtype === 'float32' ? 1e-5 : 1e-2) * largest, `off by ${worst}`)
    }
    const together = await read(scope(() => attendShared([q, k, v], dout, lengths, kind)))
    const [dk, dv] = [new Float32Array(50 * channels), new Float32Array(50 * channels)]
    let start = 0
    for (const length of lengths) {
      const part = (x: Float32Array) => x.subarray(start * channels, (start + length) * channels)
      const alone = await read(
        scope(() => attendShared([part(q), k, v], part(dout), [length], kind)),
      )
      for (const i of [0, 1]) near(part(together[i] ?? q), alone[i] ?? q)
      for (const [i, sum] of [dk, dv].entries())
        for (const [j, x] of (alone[i + 2] ?? q).entries()) sum[j] = (sum[j] ?? 0) + x
      start += length
    }
    near(together[2] ?? q, dk)
    near(together[3] ?? q, dv)
  })

const onlyGpu = device.name === 'cpu' ? ' (skipped: the CPU refuses such offsets)' : ''
const gpuTest = onlyGpu ? test.skip : test

for (const kind of kinds)
  gpuTest(
    `rows of no sequence become zero, offsets beyond the end are cut, ${kind.channels / heads} columns, ${kind.dtype}${onlyGpu}`,
    async (t) => {
      const { channels } = kind
      const parts = [20, 20, 20].map((rows, i) => random(rows, channels, i))
      // Queries 2-4 see keys 1-3, queries 5-8 see keys 4-7: the four that a row may have.
      const results = scope(() =>
        attend(parts, random(20, channels, 3), {
          ...kind,
          queryOffsets: [2, 5, 9],
          keyOffsets: [1, 4, 30],
          maxQueries: 4,
          maxKeys: 4,
        }),
      )
      const [out, dq, dk, dv] = await read(results)
      const written = (x: Float32Array | undefined) =>
        Array.from({ length: 20 }, (_, row) => row).filter((row) =>
          x?.subarray(row * channels, (row + 1) * channels).some((value) => value !== 0),
        )
      t.deepEqual(written(out), [2, 3, 4, 5, 6, 7, 8])
      t.deepEqual(written(dv), [1, 2, 3, 4, 5, 6, 7])
      // The first query of a row sees one key, whatever its score: there only rounding is left.
      t.deepEqual(
        written(dq).filter((row) => row !== 2 && row !== 5),
        [3, 4, 6, 7, 8],
      )
      t.deepEqual(written(dk), [1, 2, 3, 4, 5, 6, 7])
      for (const x of [out, dq, dk, dv]) t.true(x?.every(Number.isFinite))
    },
  )

for (const kind of kinds)
  gpuTest(
    `rows without keys, longer than said: zeros, ${kind.channels / heads} columns, ${kind.dtype}${onlyGpu}`,
    async (t) => {
      const parts = [70, 0, 0].map((rows, i) => random(rows, kind.channels, i))
      const results = scope(() =>
        attend(parts, random(70, kind.channels, 3), {
          ...kind,
          queryOffsets: [0, 70],
          keyOffsets: [0, 0],
          maxQueries: 4,
          maxKeys: 4,
        }),
      )
      for (const x of await read(results)) t.true(x.every((value) => value === 0))
    },
  )

const unseen = device.name === 'cpu' ? '' : ' (skipped: launchers cannot read offsets)'
const cpuTest = unseen ? test.skip : test

cpuTest(
  `offsets that leave the tokens, and rows longer than said, are errors${unseen}`,
  async (t) => {
    const attend = (maxLength: number, ...offsets: number[]) =>
      scope(() => {
        const qkv = upload(random(8, 48, 1), [8, 48], 'float32')
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
  },
)
