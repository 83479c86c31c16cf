/** Convolutions with a weight that is known to stay: kept in another layout, by another method, the same result. */
import test from 'ava'
import { openDevice } from '../../ts/native.js'
import { type ConvolutionOptions, convolution } from '../../ts/ops/convolution.js'
import { createRandom } from '../../ts/random.js'
import { sizeOf, type Tensor, tensor, tensorScope } from '../../ts/tensor.js'

const device = openDevice('cpu')
const { kernels } = device
let numbers = 0

function random(shape: readonly number[], seed: number): Tensor {
  const next = createRandom(seed)
  return tensor(
    Float32Array.from({ length: sizeOf(shape) }, () => next() - 0.5),
    shape,
    device,
  )
}

interface Case {
  readonly what: string
  readonly x: readonly number[]
  readonly weight: readonly number[]
  readonly options: ConvolutionOptions
  readonly bias?: boolean
  readonly residual?: boolean
}

const same = { padding: 1 } as const
const cases: Case[] = [
  { what: '3 x 3', x: [1, 14, 14, 64], weight: [48, 3, 3, 64], options: same },
  { what: 'in a batch', x: [8, 16, 16, 32], weight: [64, 3, 3, 32], options: same, bias: true },
  {
    what: 'with residual and activation',
    x: [5, 17, 14, 32],
    weight: [32, 3, 3, 32],
    options: { ...same, activation: 'relu' },
    bias: true,
    residual: true,
  },
  {
    what: 'with silu',
    x: [2, 13, 15, 16],
    weight: [16, 3, 3, 16],
    options: { ...same, activation: 'silu' },
    residual: true,
  },
  { what: 'a small image', x: [3, 5, 6, 16], weight: [16, 3, 3, 16], options: same },
  { what: 'channels left over', x: [2, 8, 8, 24], weight: [20, 3, 3, 24], options: same },
  { what: 'channels unused', x: [2, 8, 8, 32], weight: [16, 3, 3, 16], options: same },
  { what: 'a stride', x: [2, 9, 9, 32], weight: [32, 3, 3, 32], options: { ...same, stride: 2 } },
  { what: 'no padding', x: [2, 9, 9, 32], weight: [32, 3, 3, 32], options: { padding: 0 } },
  {
    what: 'depthwise',
    x: [2, 9, 9, 32],
    weight: [32, 3, 3, 1],
    options: { ...same, groups: 32, activation: 'relu6' },
    bias: true,
  },
  { what: '1 x 1', x: [3, 7, 7, 64], weight: [32, 1, 1, 64], options: { padding: 0 }, bias: true },
]

for (const { what, x, weight, options, bias, residual } of cases)
  test.serial(`the same result as without: ${what}`, async (t) => {
    const constant = ++numbers
    const reading = (() => {
      using _ = tensorScope()
      const w = random(weight, 1)
      const b = bias ? random([weight[0] ?? 0], 2) : undefined
      // Other sizes of batches may want other layouts of the weight.
      return [1, x[0] ?? 1].flatMap((batch) => {
        const input = random([batch, ...x.slice(1)], 3)
        const plain = convolution({ x: input, weight: w, bias: b }, options)
        const r = residual ? random(plain.shape, 4) : undefined
        const inputs = { x: input, weight: w, bias: b, residual: r }
        const out = () => convolution(inputs, { ...options, constant }).readFloats()
        return [convolution(inputs, options).readFloats(), out(), out()]
      })
    })()
    const all = await Promise.all(reading)
    for (let i = 0; i < all.length; i += 3) {
      const [expected, first, again] = all.slice(i, i + 3) as [
        Float32Array,
        Float32Array,
        Float32Array,
      ]
      const largest = expected.reduce(
        (most, v, k) => Math.max(most, Math.abs(v - (first[k] ?? 0))),
        0,
      )
      const scale = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0)
      t.true(largest <= 1e-5 * scale, `off by ${largest} of ${scale}`)
      t.deepEqual(again, first)
    }
    // The first image is the same in both batches.
    const [alone = new Float32Array(), together = new Float32Array()] = [all[1], all[4]]
    t.deepEqual(together.subarray(0, alone.length), alone, 'it depends on the batch')
    kernels.dropConstant(constant)
  })

test.serial('a dropped number may stand for another weight', async (t) => {
  const constant = ++numbers
  const of = (seed: number, number: number) => {
    using _ = tensorScope()
    const [x, weight] = [random([1, 8, 8, 16], 1), random([16, 3, 3, 16], seed)]
    return convolution({ x, weight }, { ...same, constant: number }).readFloats()
  }
  const reading = [of(1, constant)]
  kernels.dropConstant(constant)
  reading.push(of(2, constant), of(2, ++numbers))
  const [first, second, expected] = await Promise.all(reading)
  t.deepEqual(second, expected)
  t.notDeepEqual(first, second)
  kernels.dropConstant(constant)
  kernels.dropConstant(numbers)
})
