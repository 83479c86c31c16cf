/**
 * Every op of the registry, from its samples alone: output shape, forward against the float64 reference, gradients
 * against central differences of the reference, no leak, and errors for wrong shapes.
 */
import test from 'ava'
import { openDevice, synchronize } from '../../ts/native.js'
import type { OpInputs } from '../../ts/ops/define-op.js'
import { type OpName, ops } from '../../ts/ops/registry.js'
import { createRandom } from '../../ts/random.js'
import { differentiate } from '../../ts/tape.js'
import { memory, scope, sizeOf, type Tensor, tensor, tensorScope } from '../../ts/tensor.js'
import { type Array64, type ReferenceInputs, references } from './references.js'
import { type Sample, type SampleInput, samples } from './samples.js'
import { tolerances } from './tolerances.js'

const device = openDevice('cpu')

type AnyOp = (inputs: OpInputs<string>, options?: object) => Tensor

for (const name of Object.keys(ops) as OpName[]) {
  const op = ops[name] as unknown as AnyOp
  for (const [i, sample] of samples[name].right.entries()) {
    const title = `${name} #${i} ${describe(sample)}`
    test.serial(`${title}: forward`, (t) => checkForward(t, name, op, sample))
    if (ops[name].spec.differentiable)
      test.serial(`${title}: gradients`, (t) => checkGradients(t, name, op, sample))
  }
  test.serial(`${name}: wrong input gives its error`, (t) => {
    t.true(samples[name].wrong.length > 0, 'every op needs a wrong sample')
    for (const wrong of samples[name].wrong) {
      using _ = tensorScope()
      const inputs = upload(hostInputs(wrong), wrong)
      const error = t.throws(() => op(inputs, wrong.options))
      t.regex(error?.message ?? '', wrong.error)
    }
  })
}

async function checkForward(
  t: import('ava').ExecutionContext,
  name: OpName,
  op: AnyOp,
  sample: Sample,
): Promise<void> {
  const before = memory(device)
  const host = hostInputs(sample)
  const expected = references[name](host, sample.options)
  const out = scope(() => op(upload(host, sample), sample.options))
  t.is(out.size, expected.length, 'output size')
  const actual = await out.read()
  close(t, actual, expected, sample.tolerance ?? tolerances.float32.forward, 'forward')
  out.release()
  await synchronize(device)
  t.is(memory(device).liveTensors, before.liveTensors, 'leaked tensors')
  t.is(memory(device).liveBytes, before.liveBytes, 'leaked bytes')
}

/** For each input x: (d/dt) of sum(w * op(x + t u)) at 0, w and u random, against sum(u * gradient of x). */
async function checkGradients(
  t: import('ava').ExecutionContext,
  name: OpName,
  op: AnyOp,
  sample: Sample,
): Promise<void> {
  const before = memory(device)
  const host = hostInputs(sample)
  const names =
    sample.gradients ??
    Object.keys(sample.inputs).filter((n) => (sample.inputs[n]?.dtype ?? 'float32') === 'float32')
  const count = references[name](host, sample.options).length
  const weights = randomNormal(count, 99)
  const grads = scope(() => {
    const inputs = upload(host, sample) as Readonly<Record<string, Tensor>>
    const wanted = names.map((n) => inputs[n] as Tensor)
    const [, found] = differentiate(wanted, () => {
      const out = op(inputs as OpInputs<string>, sample.options)
      return weightedSum(out, tensor(Float32Array.from(weights), out.shape, device))
    })
    return found
  })
  for (const [i, inputName] of names.entries()) {
    const grad = grads[i]
    t.truthy(grad, `no gradient for ${inputName}`)
    const values = (await grad?.readFloats()) ?? new Float32Array()
    const input = host[inputName] as Array64
    const direction = randomNormal(input.data.length, 7 + i)
    const step = 1e-5
    const along = (distance: number) => {
      const data = input.data.map((value, j) => value + distance * (direction[j] ?? 0))
      const moved = { ...host, [inputName]: { shape: input.shape, data } }
      return dot(references[name](moved, sample.options), weights)
    }
    const expected = (along(step) - along(-step)) / (2 * step)
    const actual = dot(values, direction)
    const size = Math.sqrt(dot(values, values)) * Math.sqrt(direction.length) + 1e-6
    const error = Math.abs(actual - expected) / size
    t.true(
      error <= (sample.tolerance ?? tolerances.float32.gradient),
      `${inputName}: gradient ${actual}, differences ${expected} (relative ${error})`,
    )
    grad?.release()
  }
  await synchronize(device)
  t.is(memory(device).liveTensors, before.liveTensors, 'leaked tensors')
}

/** sum(out * weights) as a linear product, so that the gradient of out is exactly `weights`. */
function weightedSum(out: Tensor, weights: Tensor): Tensor {
  return ops.weightedSum({ x: out, weights })
}

function hostInputs(sample: { inputs: Readonly<Record<string, SampleInput>> }): ReferenceInputs {
  return Object.fromEntries(
    Object.entries(sample.inputs).map(([name, input], i) => [name, hostArray(input, i + 1)]),
  )
}

function hostArray(input: SampleInput, seed: number): Array64 {
  const n = sizeOf(input.shape)
  const { integers, data } = input
  if (data) return { shape: input.shape, data: Float64Array.from(data) }
  if (integers) {
    const random = createRandom(seed)
    const [low, high] = integers
    return {
      shape: input.shape,
      data: Float64Array.from({ length: n }, () => low + Math.floor(random() * (high - low))),
    }
  }
  const values = randomNormal(n, seed)
  // Rounded to float32, so that both sides start from the same numbers.
  return {
    shape: input.shape,
    data: values.map((v) => Math.fround(v * (input.scale ?? 1) + (input.offset ?? 0))),
  }
}

function upload(
  host: ReferenceInputs,
  sample: { inputs: Readonly<Record<string, SampleInput>> },
): OpInputs<string> {
  return Object.fromEntries(
    Object.entries(sample.inputs).map(([name, input]) => [
      name,
      tensor(Array.from(host[name]?.data ?? []), input.shape, device, input.dtype ?? 'float32'),
    ]),
  ) as OpInputs<string>
}

/** Normal numbers by Box and Muller. */
function randomNormal(n: number, seed: number): Float64Array {
  const random = createRandom(seed)
  return Float64Array.from(
    { length: n },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  )
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0)
  return sum
}

/** Largest difference, relative to the size of the expected values. */
function close(
  t: import('ava').ExecutionContext,
  actual: ArrayLike<number>,
  expected: Float64Array,
  tolerance: number,
  what: string,
): void {
  let largest = 0
  let scale = 1e-3
  for (const value of expected) if (Number.isFinite(value)) scale = Math.max(scale, Math.abs(value))
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] ?? Number.NaN) - (expected[i] ?? 0))
    if (!(difference <= largest)) largest = difference
  }
  t.true(largest / scale <= tolerance, `${what}: off by ${largest} at scale ${scale}`)
}

function describe(sample: Sample): string {
  const shapes = Object.entries(sample.inputs).map(([n, i]) => `${n}[${i.shape.join('x')}]`)
  return `${shapes.join(' ')} ${sample.options ? JSON.stringify(sample.options) : ''}`.trim()
}
