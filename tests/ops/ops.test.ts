/**
 * Every op of the registry, from its samples alone: output shape, forward against the float64 reference, gradients
 * against central differences of the reference (and another device's against the CPU's), no leak, and errors for wrong
 * shapes. On a device that computes in bfloat16 everything once more in it, from inputs that it holds exactly.
 */
import test from 'ava'
import { type Device, synchronize } from '../../ts/native.js'
import type { FloatDtype, OpInputs } from '../../ts/ops/define-op.js'
import { type OpName, ops } from '../../ts/ops/registry.js'
import { createRandom } from '../../ts/random.js'
import { differentiate } from '../../ts/tape.js'
import { type Dtype, memory, scope, sizeOf, type Tensor, tensorScope } from '../../ts/tensor.js'
import { cpu, device, dtypes, rounded, upload } from '../device.js'
import { type Array64, type ReferenceInputs, references } from './references.js'
import { type Sample, type SampleInput, samples } from './samples.js'
import { halfExceptions, tolerances } from './tolerances.js'

type AnyOp = (inputs: OpInputs<string>, options?: object) => Tensor

/** One op, with one sample, in one dtype. */
interface Case {
  readonly name: OpName
  readonly op: AnyOp
  readonly sample: Sample
  readonly dtype: FloatDtype
}

/** CAPTIONEER_TEST_OPS=linear,convolution: only these. */
const chosen = process.env.CAPTIONEER_TEST_OPS?.split(',')

for (const name of Object.keys(ops) as OpName[]) {
  if (chosen && !chosen.includes(name)) continue
  const op = ops[name] as unknown as AnyOp
  for (const dtype of dtypes)
    for (const [i, sample] of samples[name].right.entries()) {
      const one = { name, op, sample, dtype }
      const title = `${name} #${i} ${describe(sample)}${dtype === 'float32' ? '' : ` ${dtype}`}`
      test.serial(`${title}: forward`, (t) => checkForward(t, one))
      if (ops[name].spec.differentiable)
        test.serial(`${title}: gradients`, (t) => checkGradients(t, one))
    }
  test.serial(`${name}: wrong input gives its error`, (t) => {
    t.true(samples[name].wrong.length > 0, 'every op needs a wrong sample')
    for (const wrong of samples[name].wrong) {
      using _ = tensorScope()
      const inputs = uploadAll({ name, sample: wrong, dtype: 'float32' })
      const error = t.throws(() => op(inputs, wrong.options))
      t.regex(error?.message ?? '', wrong.error)
    }
  })
}

async function checkForward(t: import('ava').ExecutionContext, one: Case): Promise<void> {
  const before = memory(device)
  const { name, op, sample, dtype } = one
  const expected = references[name](hostInputs(one), sample.options)
  const out = scope(() => op(uploadAll(one), optionsOf(one)))
  t.is(out.size, expected.length, 'output size')
  const actual = await out.readFloats()
  close(t, actual, expected, toleranceOf(one, 'forward'), 'forward')
  if (out.dtype !== dtype) t.is(out.dtype, 'float32', 'losses and image bytes')
  out.release()
  await synchronize(device)
  t.is(memory(device).liveTensors, before.liveTensors, 'leaked tensors')
  t.is(memory(device).liveBytes, before.liveBytes, 'leaked bytes')
}

/** Gradients of sum(w * op(inputs)), w random; the CPU's from the same numbers. */
function gradients(one: Case, names: readonly string[], weights: Float64Array, on: Device) {
  const { op, dtype } = one
  const values = weights.map((value) => rounded(value, dtype))
  return scope(() => {
    const inputs = uploadAll(one, on) as Readonly<Record<string, Tensor>>
    const wanted = names.map((n) => inputs[n] as Tensor)
    const [, found] = differentiate(wanted, () => {
      const out = op(inputs as OpInputs<string>, optionsOf(one, on))
      return weightedSum(out, upload(values, out.shape, out.dtype, on))
    })
    return found
  })
}

/** For each input x: (d/dt) of sum(w * op(x + t u)) at 0, w and u random, against sum(u * gradient of x). */
async function checkGradients(t: import('ava').ExecutionContext, one: Case): Promise<void> {
  const before = memory(device)
  const { name, sample, dtype } = one
  const host = hostInputs(one)
  const names =
    sample.gradients ??
    Object.keys(sample.inputs).filter((n) => (sample.inputs[n]?.dtype ?? 'float32') === 'float32')
  const count = references[name](host, sample.options).length
  const weights = randomNormal(count, 99)
  const grads = gradients(one, names, weights, device)
  const others = device === cpu ? [] : gradients(one, names, weights, cpu)
  for (const [i, inputName] of names.entries()) {
    const grad = grads[i]
    t.truthy(grad, `no gradient for ${inputName}`)
    const own = kindOf(name, inputName) === 'activation' ? dtype : 'float32'
    t.is(grad?.dtype, own, `dtype of the gradient of ${inputName}`)
    const values = (await grad?.readFloats()) ?? new Float32Array()
    const other = await others[i]?.readFloats()
    if (other) {
      const off = norm(values.map((value, j) => value - (other[j] ?? Number.NaN)))
      // Gradients are of order 1; one that is 0 in exact arithmetic is compared with that.
      const relative = off / (norm(other) + 1e-3 * Math.sqrt(other.length || 1))
      t.true(
        relative <= toleranceOf(one, 'elements'),
        `${inputName}: gradient is off the CPU's by ${relative} of its norm`,
      )
    }
    if (dtype === 'float32') {
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
      const size = norm(values) * Math.sqrt(direction.length) + 1e-6
      const error = Math.abs(actual - expected) / size
      t.true(
        error <= toleranceOf(one, 'gradient'),
        `${inputName}: gradient ${actual}, differences ${expected} (relative ${error})`,
      )
    }
    grad?.release()
    others[i]?.release()
  }
  await synchronize(device)
  t.is(memory(device).liveTensors, before.liveTensors, 'leaked tensors')
}

/** sum(out * weights) as a linear product, so that the gradient of out is exactly `weights`. */
function weightedSum(out: Tensor, weights: Tensor): Tensor {
  return ops.weightedSum({ x: out, weights })
}

function kindOf(name: OpName, input: string): string {
  return ops[name].spec.kinds[input] ?? 'activation'
}

/** What an input is uploaded as: as the sample says, activations and parameters in the dtype of the case. */
function dtypeOf({ name, dtype }: Pick<Case, 'name' | 'dtype'>, key: string, input: SampleInput) {
  const kind = kindOf(name, key)
  const computed = kind === 'activation' || kind === 'parameter'
  return input.dtype ?? (computed ? dtype : 'float32')
}

/** An op without activations is told its dtype. The CPU, beside which bfloat16 is checked, computes in float32. */
function optionsOf({ name, sample, dtype }: Case, on = device): object | undefined {
  if (name !== 'normalizeImage' || on === cpu) return sample.options
  return { ...sample.options, dtype }
}

/** A sample's own tolerance is for float32. */
function toleranceOf(
  { name, sample, dtype }: Case,
  what: 'forward' | 'gradient' | 'elements',
): number {
  const usual = tolerances[dtype][what]
  if (dtype === 'float32') return sample.tolerance ?? usual
  return what === 'elements' ? (halfExceptions[name]?.elements ?? usual) : usual
}

function hostInputs(one: Pick<Case, 'name' | 'dtype'> & { readonly sample: Inputs }) {
  return Object.fromEntries(
    Object.entries(one.sample.inputs).map(([key, input], i) => [
      key,
      hostArray(input, i + 1, dtypeOf(one, key, input)),
    ]),
  ) as ReferenceInputs
}

interface Inputs {
  readonly inputs: Readonly<Record<string, SampleInput>>
}

/** The numbers of an input, rounded to its dtype, so that all sides start from the same. */
function hostArray(input: SampleInput, seed: number, dtype: Dtype): Array64 {
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
  return {
    shape: input.shape,
    data: values.map((v) => rounded(v * (input.scale ?? 1) + (input.offset ?? 0), dtype)),
  }
}

function uploadAll(
  one: Pick<Case, 'name' | 'dtype'> & { readonly sample: Inputs },
  to = device,
): OpInputs<string> {
  const host = hostInputs(one)
  return Object.fromEntries(
    Object.entries(one.sample.inputs).map(([key, input]) => {
      const dtype = dtypeOf(one, key, input)
      const held = to === cpu && dtype === 'bfloat16' ? 'float32' : dtype
      return [key, upload(host[key]?.data ?? [], input.shape, held, to)]
    }),
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

function norm(a: ArrayLike<number>): number {
  return Math.sqrt(dot(a, a))
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
