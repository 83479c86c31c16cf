/** The optimizers written out in float64 and against PyTorch's, their ranges, steps that are skipped, and averages. */
import { readFile } from 'node:fs/promises'
import ava, { type ExecutionContext } from 'ava'
import { createRandom } from '../../ts/random.js'
import { cast, scope, sizeOf, type Tensor, tensor, tensorScope } from '../../ts/tensor.js'
import {
  averageWeights,
  collectGradients,
  createOptimizer,
  type Optimizer,
  type OptimizerBuffers,
  type OptimizerEntry,
  type OptimizerName,
  type OptimizerOptions,
  optimizerStep,
  refreshHalf,
  startAverage,
  withAverage,
} from '../../ts/train/optimizer.js'
import { device } from '../device.js'

// One after another: scopes that are open across an await would mix.
const test = ava.serial

/** Odd sizes, one larger than a piece of the kernel. */
const entries: readonly OptimizerEntry[] = [
  { name: 'head.bias', shape: [7], decay: false, group: 'decoder' },
  { name: 'head.weight', shape: [129, 150], decay: true, group: 'decoder' },
  { name: 'conv.weight', shape: [5, 3, 3, 3], decay: true, group: 'encoder' },
  { name: 'norm.bias', shape: [33], decay: false, group: 'encoder' },
]

const learningRate = 0.01

const options: OptimizerOptions = {
  name: 'adamw',
  encoderScale: 0.2,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  momentum: 0.9,
  rectify: false,
  weightDecay: 0.1,
  clipNorm: 1.5,
  clipValue: 0,
}

function uniform(n: number, seed: number, scale = 1): Float32Array {
  const random = createRandom(seed)
  return Float32Array.from({ length: n }, () => (random() - 0.5) * scale)
}

const startOf = (i: number) => uniform(sizeOf(entries[i]?.shape ?? []), i + 1)

function started(buffers: OptimizerBuffers = {}, name: OptimizerName = options.name): Optimizer {
  const optimizer = createOptimizer(name, entries, device, buffers)
  for (const [i, entry] of entries.entries()) weightOf(optimizer, entry.name).write(startOf(i))
  startAverage(optimizer)
  return optimizer
}

function weightOf(optimizer: Optimizer, name: string): Tensor {
  const found = optimizer.masters.find(([master]) => master === name)
  if (!found) throw new Error(`no weight ${name}`)
  return found[1]
}

function gradientsOf(seed: number, scale = 1): Float32Array[] {
  return entries.map((entry, i) => uniform(sizeOf(entry.shape), 100 * seed + i, scale))
}

function step(
  optimizer: Optimizer,
  grads: readonly Float32Array[],
  rate = learningRate,
  using = options,
): void {
  scope(() => {
    const tensors = grads.map((grad, i) => tensor(grad, entries[i]?.shape ?? [], device))
    collectGradients(optimizer, tensors, true)
    optimizerStep(optimizer, tensor([rate], [1], device), using)
    return undefined
  })
}

/** RAdam's factor; 0: no adaptive step yet. Liu et al. 2020, arXiv:1908.03265, algorithm 2. */
function rectification(beta2: number, steps: number): number {
  const longest = 2 / (1 - beta2) - 1
  const length = longest - (2 * steps * beta2 ** steps) / (1 - beta2 ** steps)
  if (length < 5) return 0
  const ratio = (n: number) => ((n - 4) * (n - 2)) / n
  return Math.sqrt(ratio(length) / ratio(longest))
}

/** An optimizer of all entries, step by step. */
function reference(using: OptimizerOptions = options) {
  const { name, beta1, beta2, epsilon, momentum, rectify, weightDecay, clipNorm, clipValue } = using
  const decoupled = name.endsWith('w')
  const weights = entries.map((_, i) => Float64Array.from(startOf(i)))
  const first = weights.map((w) => new Float64Array(w.length))
  const second = weights.map((w) => new Float64Array(w.length))
  let steps = 0
  const take = (grads: readonly Float32Array[]): number => {
    steps++
    const norm = Math.hypot(...grads.flatMap((grad) => Array.from(grad)))
    const factor = clipNorm > 0 ? Math.min(1, clipNorm / norm) : 1
    const largest = clipValue > 0 ? clipValue : Number.POSITIVE_INFINITY
    for (const [i, { decay, group }] of entries.entries()) {
      const rate = learningRate * (group === 'encoder' ? using.encoderScale : 1)
      const decayed = decay ? weightDecay : 0
      const [w, m, v] = [weights[i], first[i], second[i]] as [
        Float64Array,
        Float64Array,
        Float64Array,
      ]
      for (const [j, value] of (grads[i] ?? []).entries()) {
        const old = w[j] ?? 0
        const clipped = Math.max(-largest, Math.min(largest, value * factor))
        const g = clipped + (decoupled ? 0 : decayed * old)
        const kept = old * (1 - (decoupled ? rate * decayed : 0))
        if (name === 'sgdm') {
          m[j] = momentum * (m[j] ?? 0) + g
          w[j] = kept - rate * (m[j] ?? 0)
          continue
        }
        m[j] = beta1 * (m[j] ?? 0) + (1 - beta1) * g
        const belief = name.startsWith('adabelief')
        const surprise = belief ? g - (m[j] ?? 0) : g
        v[j] = beta2 * (v[j] ?? 0) + (1 - beta2) * surprise ** 2 + (belief ? epsilon : 0)
        const mHat = (m[j] ?? 0) / (1 - beta1 ** steps)
        const adapted = rectify
          ? (Math.sqrt(1 - beta2 ** steps) * rectification(beta2, steps)) /
            (Math.sqrt(v[j] ?? 0) + epsilon)
          : 1 / (Math.sqrt((v[j] ?? 0) / (1 - beta2 ** steps)) + epsilon)
        w[j] = kept - rate * mHat * (adapted || 1)
      }
    }
    return norm
  }
  return { weights, take }
}

async function near(
  t: ExecutionContext,
  optimizer: Optimizer,
  expected: readonly Float64Array[],
  tolerance: number,
): Promise<void> {
  for (const [i, { name }] of entries.entries()) {
    const actual = await weightOf(optimizer, name).readFloats()
    const off = actual.map((value, j) => Math.abs(value - (expected[i]?.[j] ?? Number.NaN)))
    const largest = off.reduce((a, b) => (b > a || Number.isNaN(b) ? b : a), 0)
    t.true(largest <= tolerance, `${name} is off by ${largest}`)
  }
}

test('ten steps equal AdamW in float64, with clipping, decay and a learning rate for the encoder', async (t) => {
  const optimizer = started()
  const expected = reference()
  for (let i = 0; i < 10; i++) {
    // Norms from below the limit to far above it.
    const grads = gradientsOf(i, i % 2 === 0 ? 0.01 : 3)
    const norm = expected.take(grads)
    step(optimizer, grads)
    const [actual = Number.NaN] = await optimizer.norm.readFloats()
    t.true(Math.abs(actual - norm) <= 1e-6 * norm, `norm ${actual}, expected ${norm}`)
    t.is(norm > options.clipNorm, i % 2 === 1, 'both sides of the limit are tried')
  }
  await near(t, optimizer, expected.weights, 2e-6)
  t.deepEqual(Array.from(await optimizer.state.readFloats()), [Math.fround(0.01), 10, 0, 0])
})

const others: readonly [title: string, Partial<OptimizerOptions>][] = [
  ['adam with decay in the gradient', { name: 'adam' }],
  ['adabelief', { name: 'adabelief', epsilon: 1e-16 }],
  [
    'adabelief with a large epsilon, without clipping',
    { name: 'adabelief', epsilon: 0.01, clipNorm: 0 },
  ],
  ['adabeliefw, rectified', { name: 'adabeliefw', epsilon: 1e-16, rectify: true }],
  ['adamw, rectified, clipped by value', { rectify: true, clipValue: 0.002 }],
  ['adam, never rectified so early', { name: 'adam', rectify: true, beta2: 0.5 }],
  ['sgdm, clipped by norm and value', { name: 'sgdm', clipValue: 0.01 }],
]

for (const [title, changed] of others) {
  test(`ten steps in float64: ${title}`, async (t) => {
    const using = { ...options, ...changed }
    const optimizer = started({}, using.name)
    t.is(optimizer.v === undefined, using.name === 'sgdm')
    const expected = reference(using)
    for (let i = 0; i < 10; i++) {
      const grads = gradientsOf(i, i % 2 === 0 ? 0.01 : 3)
      expected.take(grads)
      step(optimizer, grads, learningRate, using)
    }
    await near(t, optimizer, expected.weights, 3e-6)
  })
}

test('rectified step sizes after many steps equal those in float64', async (t) => {
  const using = { ...options, rectify: true, beta2: 0.999, weightDecay: 0, clipNorm: 0 }
  for (const steps of [5, 6, 7, 50, 999, 1000, 1001, 3000, 100_000]) {
    const optimizer = createOptimizer('adam', entries.slice(0, 1), device)
    optimizer.state.write(Float32Array.of(0, steps - 1, 0, 0))
    optimizer.v?.write(new Float32Array(optimizer.v.size).fill(4))
    scope(() => {
      collectGradients(optimizer, [tensor(new Float32Array(7).fill(2), [7], device)], true)
      optimizerStep(optimizer, tensor([1], [1], device), using)
      return undefined
    })
    const [actual = Number.NaN] = await weightOf(optimizer, 'head.bias').readFloats()
    const m = 0.2 / (1 - 0.9 ** steps)
    const factor = rectification(0.999, steps)
    const expected = factor > 0 ? (m * factor * Math.sqrt(1 - 0.999 ** steps)) / 2 : m
    t.true(Math.abs(actual + expected) < 2e-4 * expected, `${steps}: ${-actual}, not ${expected}`)
  }
})

test('ten steps equal those of PyTorch', async (t) => {
  const fixture = JSON.parse(
    await readFile(new URL('../../../tests/fixtures/optimizers.json', import.meta.url), 'utf8'),
  ) as Fixture
  const values = (seed: number, n: number) =>
    Float32Array.from({ length: n }, (_, i) => Math.sin(1.7 * seed + 2.3 * i + 0.1 * i * i))
  const kinds = [
    { name: 'weight', shape: [3, 5], decay: true, group: 'decoder' },
    { name: 'bias', shape: [5], decay: true, group: 'decoder' },
  ] as const
  for (const { title, options: given, after } of fixture.cases) {
    const none = { weightDecay: 0, clipNorm: 0, beta2: 0.999 }
    const using = { ...options, ...none, ...given }
    const optimizer = createOptimizer(using.name, kinds, device)
    for (const [k, { name, shape }] of kinds.entries())
      weightOf(optimizer, name).write(values(k, sizeOf(shape)))
    for (let i = 0; i < fixture.steps; i++)
      scope(() => {
        const grads = kinds.map(({ shape }, k) =>
          tensor(values(10 * i + k + 100, sizeOf(shape)), shape, device),
        )
        collectGradients(optimizer, grads, true)
        optimizerStep(optimizer, tensor([fixture.learningRate], [1], device), using)
        return undefined
      })
    for (const { name } of kinds) {
      const actual = await weightOf(optimizer, name).readFloats()
      const off = actual.map((value, i) => Math.abs(value - (after[name][i] ?? Number.NaN)))
      t.true(Math.max(...off) <= 2e-6, `${title}: ${name} is off by ${Math.max(...off)}`)
    }
  }
})

interface Fixture {
  readonly steps: number
  readonly learningRate: number
  readonly cases: readonly {
    readonly title: string
    readonly options: Partial<OptimizerOptions>
    readonly after: Readonly<Record<'weight' | 'bias', readonly number[]>>
  }[]
}

test('the average follows the weights, waits where a step was skipped, and stands in for them', async (t) => {
  for (const dtype of ['float32', 'bfloat16'] as const) {
    const optimizer = started({ dtype, average: true })
    refreshHalf(optimizer)
    const expected = Float64Array.from(await optimizer.weight.readFloats())
    for (const [i, decay] of [0.9, 0.9, 0.9, 0.3].entries()) {
      const grads = gradientsOf(i)
      if (i === 1) grads[0]?.fill(Number.NaN)
      step(optimizer, grads)
      averageWeights(optimizer, decay)
      const taken = i === 0 ? 1 : i
      const kept = Math.min(decay, (1 + taken) / (10 + taken))
      const now = await optimizer.weight.readFloats()
      if (i !== 1)
        expected.forEach((a, j) => {
          expected[j] = a + (1 - kept) * ((now[j] ?? 0) - a)
        })
    }
    const average = (await optimizer.average?.readFloats()) ?? new Float32Array()
    const off = average.map((value, j) => Math.abs(value - (expected[j] ?? Number.NaN)))
    t.true(off.every((value) => value <= 1e-6))
    const before = await optimizer.weight.readFloats()
    const used = await optimizer.views[1]?.read()
    const inside = await withAverage(optimizer, async () => {
      t.deepEqual(await optimizer.weight.readFloats(), average)
      return optimizer.views[1]?.read()
    })
    t.notDeepEqual(inside, used, 'the model sees the average')
    t.deepEqual(await optimizer.weight.readFloats(), before)
    t.deepEqual(await optimizer.views[1]?.read(), used)
    await t.throwsAsync(
      withAverage(optimizer, async () => {
        throw new Error('validation failed')
      }),
    )
    t.deepEqual(await optimizer.weight.readFloats(), before, 'also after an error')
  }
})

test('in bfloat16 the model sees the same weights, rounded after each step', async (t) => {
  const optimizer = started({ dtype: 'bfloat16' })
  refreshHalf(optimizer)
  for (const seed of [0, 1, 2]) {
    if (seed > 0) step(optimizer, gradientsOf(seed))
    for (const [i, [name, master]] of optimizer.masters.entries()) {
      const used = optimizer.views[i]
      t.is(used?.dtype, master.shape.length > 1 ? 'bfloat16' : 'float32')
      const exact = await master.readFloats()
      const rounded = scope(() => cast(master, used?.dtype ?? 'float32'))
      t.deepEqual(await used?.read(), await rounded.read(), `${name} after ${seed} steps`)
      t.deepEqual(await master.readFloats(), exact)
      if (rounded !== master) rounded.release()
    }
  }
})

test('steps whose gradients are not finite change nothing and are counted', async (t) => {
  const optimizer = started()
  const expected = reference()
  const grads = gradientsOf(1)
  expected.take(grads)
  step(optimizer, grads)
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const broken = gradientsOf(2)
    broken[1]?.fill(bad, 40, 41)
    step(optimizer, broken)
  }
  t.deepEqual(Array.from(await optimizer.state.readFloats()).slice(1), [1, 2, 2])
  await near(t, optimizer, expected.weights, 1e-6)
  const next = gradientsOf(3)
  expected.take(next)
  step(optimizer, next)
  t.deepEqual(Array.from(await optimizer.state.readFloats()).slice(1), [2, 2, 0])
  await near(t, optimizer, expected.weights, 1e-6)
})

test('only parameters marked so decay, and a learning rate of zero changes nothing', async (t) => {
  const zero = entries.map((entry) => new Float32Array(sizeOf(entry.shape)))
  const optimizer = started()
  step(optimizer, zero)
  const decayed = entries.map(({ decay, group }, i) => {
    const rate = learningRate * (group === 'encoder' ? options.encoderScale : 1)
    return Float64Array.from(startOf(i)).map(
      (w) => w * (1 - (decay ? rate * options.weightDecay : 0)),
    )
  })
  await near(t, optimizer, decayed, 1e-7)
  step(optimizer, gradientsOf(4), 0)
  await near(t, optimizer, decayed, 1e-7)
})

test('gradients of several batches add up; a parameter without one counts as zero', async (t) => {
  using _ = tensorScope()
  const optimizer = started()
  const [a, b] = [gradientsOf(5), gradientsOf(6)]
  const upload = (grads: readonly Float32Array[]) =>
    grads.map((grad, i) => (i === 0 ? undefined : tensor(grad, entries[i]?.shape ?? [], device)))
  collectGradients(optimizer, upload(gradientsOf(7)), true)
  collectGradients(optimizer, upload(a), true)
  collectGradients(optimizer, upload(b), false)
  for (const [i, grad] of optimizer.gradViews.entries()) {
    const expected = a[i]?.map((value, j) => (i === 0 ? 0 : value + (b[i]?.[j] ?? 0)))
    t.deepEqual(await grad.readFloats(), expected)
  }
})
