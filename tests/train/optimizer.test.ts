/** The optimizer against AdamW written out in float64, its ranges, and steps that are skipped. */
import ava, { type ExecutionContext } from 'ava'
import { createRandom } from '../../ts/random.js'
import { cast, scope, sizeOf, type Tensor, tensor, tensorScope } from '../../ts/tensor.js'
import {
  collectGradients,
  createOptimizer,
  type Optimizer,
  type OptimizerEntry,
  type OptimizerOptions,
  optimizerStep,
  refreshHalf,
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
  encoderScale: 0.2,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  weightDecay: 0.1,
  clipNorm: 1.5,
}

function uniform(n: number, seed: number, scale = 1): Float32Array {
  const random = createRandom(seed)
  return Float32Array.from({ length: n }, () => (random() - 0.5) * scale)
}

const startOf = (i: number) => uniform(sizeOf(entries[i]?.shape ?? []), i + 1)

function started(dtype?: 'bfloat16'): Optimizer {
  const optimizer = createOptimizer(entries, device, dtype)
  for (const [i, entry] of entries.entries()) weightOf(optimizer, entry.name).write(startOf(i))
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

function step(optimizer: Optimizer, grads: readonly Float32Array[], rate = learningRate): void {
  scope(() => {
    const tensors = grads.map((grad, i) => tensor(grad, entries[i]?.shape ?? [], device))
    collectGradients(optimizer, tensors, true)
    optimizerStep(optimizer, tensor([rate], [1], device), options)
    return undefined
  })
}

/** AdamW of all entries, step by step. */
function reference() {
  const weights = entries.map((_, i) => Float64Array.from(startOf(i)))
  const first = weights.map((w) => new Float64Array(w.length))
  const second = weights.map((w) => new Float64Array(w.length))
  let steps = 0
  const take = (grads: readonly Float32Array[]): number => {
    steps++
    const norm = Math.hypot(...grads.flatMap((grad) => Array.from(grad)))
    const factor = Math.min(1, options.clipNorm / norm)
    const { beta1, beta2 } = options
    for (const [i, { decay, group }] of entries.entries()) {
      const rate = learningRate * (group === 'encoder' ? options.encoderScale : 1)
      const [w, m, v] = [weights[i], first[i], second[i]] as [
        Float64Array,
        Float64Array,
        Float64Array,
      ]
      for (const [j, value] of (grads[i] ?? []).entries()) {
        const g = value * factor
        m[j] = beta1 * (m[j] ?? 0) + (1 - beta1) * g
        v[j] = beta2 * (v[j] ?? 0) + (1 - beta2) * g * g
        const mHat = (m[j] ?? 0) / (1 - beta1 ** steps)
        const vHat = (v[j] ?? 0) / (1 - beta2 ** steps)
        const kept = (w[j] ?? 0) * (1 - (decay ? rate * options.weightDecay : 0))
        w[j] = kept - (rate * mHat) / (Math.sqrt(vHat) + options.epsilon)
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

test('in bfloat16 the model sees the same weights, rounded after each step', async (t) => {
  const optimizer = started('bfloat16')
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
