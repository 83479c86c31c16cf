/** What the samples cannot say about convolutions: running statistics, folding, stability, refusals while recording. */
import test from 'ava'
import { ArgumentError } from '../../ts/errors.js'
import { adaptiveAveragePool } from '../../ts/ops/adaptive-average-pool.js'
import { convolution } from '../../ts/ops/convolution.js'
import { convolutionBatchNorm } from '../../ts/ops/convolution-batch-norm.js'
import { foldBatchNorm } from '../../ts/ops/fold-batch-norm.js'
import { maxPool } from '../../ts/ops/max-pool.js'
import { placesOf } from '../../ts/ops/padding.js'
import { createRandom } from '../../ts/random.js'
import { differentiate } from '../../ts/tape.js'
import { sizeOf, type Tensor, tensor, tensorScope } from '../../ts/tensor.js'
import { device } from '../device.js'

function numbers(shape: readonly number[], seed: number, scale = 1, offset = 0): Tensor {
  const random = createRandom(seed)
  const data = Float32Array.from({ length: sizeOf(shape) }, () => (random() - 0.5) * scale + offset)
  return tensor(data, shape, device)
}

function near(
  t: import('ava').ExecutionContext,
  a: Float32Array,
  b: ArrayLike<number>,
  by: number,
) {
  t.is(a.length, b.length)
  const largest = a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? 0))), 0)
  t.true(largest <= by, `off by ${largest}`)
}

test.serial('running statistics move towards the unbiased statistics of the batch', async (t) => {
  const reading = (() => {
    using _ = tensorScope()
    const runningMean = tensor([1, 2], [2], device)
    const runningVar = tensor([3, 4], [2], device)
    // The weight copies the two channels, so that the statistics are those of x.
    convolutionBatchNorm(
      {
        x: tensor([1, 10, 2, 20, 4, 30, 5, 60], [2, 2, 1, 2], device),
        weight: tensor([1, 0, 0, 1], [2, 1, 1, 2], device),
        gamma: tensor([1, 1], [2], device),
        beta: tensor([0, 0], [2], device),
        runningMean,
        runningVar,
      },
      { padding: 0, momentum: 0.25 },
    )
    return [runningMean.readFloats(), runningVar.readFloats()]
  })()
  const [mean, variance] = await Promise.all(reading)
  // x: mean 3 and 30; squared deviations 4 + 1 + 1 + 4 = 10 and 400 + 100 + 0 + 900 = 1400, over n - 1 = 3
  near(t, mean ?? new Float32Array(), [1.5, 9], 1e-5)
  near(t, variance ?? new Float32Array(), [2.25 + 0.25 * (10 / 3), 3 + 0.25 * (1400 / 3)], 1e-4)
})

/** Weights [C, R, S, C / groups] that give x again. The first with so many rows that partial statistics are merged twice. */
interface Identity {
  readonly groups: number
  readonly shape: readonly number[]
  readonly data: readonly number[]
  readonly height?: number
}
const identities = {
  'a plain product': { groups: 1, shape: [1, 1, 1, 1], data: [1], height: 706 },
  '3 x 3': { groups: 1, shape: [1, 3, 3, 1], data: [0, 0, 0, 0, 1, 0, 0, 0, 0] },
  depthwise: {
    groups: 4,
    shape: [4, 3, 3, 1],
    data: Array.from({ length: 36 }, (_, i) => (i % 9 === 4 ? 1 : 0)),
  },
  groups: { groups: 2, shape: [4, 1, 1, 2], data: [1, 0, 0, 1, 1, 0, 0, 1] },
}
for (const [name, { groups, shape, data, height = 64 }] of Object.entries<Identity>(identities))
  test.serial(
    `statistics stay exact when the mean is large beside the deviation: ${name}`,
    async (t) => {
      const C = shape[0] ?? 1
      const reading = (() => {
        using _ = tensorScope()
        const values = Float32Array.from({ length: height * 24 * C }, (_, i) =>
          Math.floor(i / C) % 2 === 0 ? 10000.5 : 9999.5,
        )
        const ones = () => tensor(new Float32Array(C).fill(1), [C], device)
        const { rstd } = convolutionBatchNorm.withExtras(
          {
            x: tensor(values, [2, height / 2, 24, C], device),
            weight: tensor(data, shape, device),
            gamma: ones(),
            beta: ones(),
            runningMean: ones(),
            runningVar: ones(),
          },
          { padding: ((shape[1] ?? 1) - 1) / 2, groups, epsilon: 1e-10 },
        )
        return rstd.readFloats()
      })()
      near(t, await reading, new Float32Array(C).fill(2), 1e-4)
    },
  )

for (const groups of [1, 24])
  test.serial(
    `folded convolution equals convolution, then normalisation (groups ${groups})`,
    async (t) => {
      const reading = (() => {
        using _ = tensorScope()
        const x = numbers([2, 7, 7, 24], 1)
        const weight = numbers([24, 3, 3, 24 / groups], 2)
        const statistics = {
          gamma: numbers([24], 3, 1, 1),
          beta: numbers([24], 4),
          runningMean: numbers([24], 5),
          runningVar: numbers([24], 6, 1, 2),
        }
        const options = { stride: 2, padding: 'same', groups } as const
        const { out, bias } = foldBatchNorm.withExtras({ weight, ...statistics })
        const folded = convolution({ x, weight: out, bias }, { ...options, activation: 'relu6' })
        const plain = convolution({ x, weight }, options)
        return [folded, plain, ...Object.values(statistics)].map((each) => each.readFloats())
      })()
      const [folded, plain, gamma, beta, mean, variance] = await Promise.all(reading)
      const expected = (plain ?? []).map((value, i) => {
        const at = (array: Float32Array | undefined) => array?.[i % 24] ?? Number.NaN
        const z = ((value - at(mean)) / Math.sqrt(at(variance) + 1e-5)) * at(gamma) + at(beta)
        return Math.min(Math.max(z, 0), 6)
      })
      near(t, folded ?? new Float32Array(), expected, 1e-5)
    },
  )

test.serial(
  'a gradient through gelu or silu is refused where it would need the sum before',
  (t) => {
    using _ = tensorScope()
    const x = numbers([1, 3, 3, 2], 1)
    const weight = numbers([2, 1, 1, 2], 2)
    const error = t.throws(
      () =>
        differentiate([weight], () =>
          convolution({ x, weight }, { padding: 0, activation: 'gelu' }),
        ),
      { instanceOf: ArgumentError },
    )
    t.regex(error?.message ?? '', /convolution: no gradient through gelu.*none, relu or relu6/)
    const perChannel = () => tensor([1, 1], [2], device)
    t.throws(
      () =>
        differentiate([weight], () =>
          convolutionBatchNorm(
            {
              x,
              weight,
              gamma: perChannel(),
              beta: perChannel(),
              runningMean: perChannel(),
              runningVar: perChannel(),
              residual: x,
            },
            { padding: 0, activation: 'silu' },
          ),
        ),
      { instanceOf: ArgumentError, message: /with a residual: no gradient through silu/ },
    )
  },
)

test.serial('frozen weights get no gradient; the rest of the op does', async (t) => {
  const reading = (() => {
    using _ = tensorScope()
    const x = tensor([1, 2, 3, 4], [1, 2, 2, 1], device)
    const weight = tensor([2], [1, 1, 1, 1], device)
    const bias = tensor([-5], [1], device)
    const [, [dbias]] = differentiate([bias], () =>
      adaptiveAveragePool({
        x: convolution({ x, weight, bias }, { padding: 0, activation: 'relu' }),
      }),
    )
    return dbias?.readFloats()
  })()
  // 2 x - 5 is above zero for 3 and 4: half of the average.
  t.deepEqual(await reading, Float32Array.of(0.5))
})

test.serial(
  'max pooling: the first of equal values takes the gradient, and NaN is kept',
  async (t) => {
    const reading = (() => {
      using _ = tensorScope()
      const x = tensor([7, 7, 7, 7], [1, 2, 2, 1], device)
      const [, [dx]] = differentiate([x], () => maxPool({ x }, { size: 2 }))
      const bad = maxPool({ x: tensor([1, Number.NaN, 3, 4], [1, 2, 2, 1], device) }, { size: 2 })
      return [dx?.readFloats(), bad.readFloats()]
    })()
    const [dx, bad] = await Promise.all(reading)
    t.deepEqual(dx, Float32Array.of(1, 0, 0, 0))
    t.true(Number.isNaN(bad?.[0]))
  },
)

test('SAME pads like TensorFlow: even sizes with stride 2 only at the bottom and right', (t) => {
  const places = (size: number, window: number, stride: number) =>
    placesOf('test', [1, size, size, 1], [window, window], stride, 'same')
  t.deepEqual(places(224, 3, 2), { top: 0, left: 0, height: 112, width: 112 })
  t.deepEqual(places(7, 3, 2), { top: 1, left: 1, height: 4, width: 4 })
  t.deepEqual(places(8, 2, 1), { top: 0, left: 0, height: 8, width: 8 })
  t.deepEqual(places(5, 1, 2), { top: 0, left: 0, height: 3, width: 3 })
})
