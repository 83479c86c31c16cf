/** Reads what PyTorch computed (tests/fixtures/make_fixtures.py) and compares tensors with it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { materialize, type ParamSpec, type ParamsOf } from '../../ts/models/params.js'
import { fromStored, storedShape, toStored } from '../../ts/models/stored.js'
import { type Device, packageRoot } from '../../ts/native.js'
import { type Tensor, tensor } from '../../ts/tensor.js'
import { projection, weight } from '../fixtures/filler.js'

/** A tensor as make_fixtures.py keeps it: its norm, random projections and first elements. */
export interface Summary {
  readonly norm: number
  readonly projections: readonly number[]
  readonly elements: readonly number[]
}

/** Relative error allowed between float32 and PyTorch's float64. */
export const relative = 1e-4

/** The content of tests/fixtures/<name>.json. */
export function readFixture<T>(name: string): T {
  const text = readFileSync(join(packageRoot, 'tests', 'fixtures', `${name}.json`), 'utf8')
  return (JSON.parse(text) as { fixture: T }).fixture
}

/** Tensors for every spec, with the numbers that make_fixtures.py gave the same names. */
export function filled<S>(specs: S, device: Device, prefix = ''): ParamsOf<S> {
  return materialize(specs, (name, spec) =>
    tensor(deviceWeight(`${prefix}${name}`, spec), spec.shape, device),
  )
}

/** The numbers that make_fixtures.py gives a parameter, in the device's layout. */
export function deviceWeight(name: string, spec: ParamSpec): Float32Array {
  return fromStored(spec, weight(name, { shape: storedShape(spec) }))
}

/** Norm, projections and elements agree: errors are relative to the norm, for an element to the mean square too. */
export function sameTensor(
  t: ExecutionContext,
  actual: Float32Array,
  expected: Summary,
  what: string,
  tolerance = relative,
): void {
  const norm = normOf(actual)
  const errors = [
    Math.abs(norm - expected.norm) / expected.norm,
    ...expected.projections.map(
      (p, i) => Math.abs(projection(`probe.${i}`, actual) - p) / expected.norm,
    ),
    ...expected.elements.map((e, i) => {
      const size = Math.abs(e) + expected.norm / Math.sqrt(actual.length)
      return Math.abs((actual[i] ?? Number.NaN) - e) / size
    }),
  ]
  const worst = Math.max(...errors)
  t.true(worst <= tolerance, `${what}: relative error ${worst}`)
}

function normOf(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0))
}

/** Two numbers agree relatively. */
export function sameNumber(
  t: ExecutionContext,
  actual: number,
  expected: number,
  what: string,
  tolerance = relative,
): void {
  const error = Math.abs(actual - expected) / Math.abs(expected)
  t.true(error <= tolerance, `${what}: ${actual} instead of ${expected} (relative ${error})`)
}

/**
 * Reads the tensors in turn and compares each with the fixture of its name; both must have the same names. What is 0 in
 * exact arithmetic must be small beside the largest of them. `specs` tell the layouts of convolution kernels.
 */
export async function sameTensors(
  t: ExecutionContext,
  actual: ReadonlyMap<string, Tensor>,
  expected: Readonly<Record<string, Summary>>,
  what: string,
  specs: ReadonlyMap<string, ParamSpec> = new Map(),
  tolerance = relative,
): Promise<void> {
  t.deepEqual([...actual.keys()].sort(), Object.keys(expected).sort(), `names of ${what}`)
  const largest = Math.max(...Object.values(expected).map(({ norm }) => norm))
  for (const [name, summary] of Object.entries(expected)) {
    const read = (await actual.get(name)?.readFloats()) ?? new Float32Array()
    const spec = specs.get(name)
    const values = spec ? toStored(name, spec, read).values : read
    if (summary.norm > 0) sameTensor(t, values, summary, `${what} of ${name}`, tolerance)
    else t.true(normOf(values) <= 1e-5 * largest, `${what} of ${name}: ${normOf(values)} for 0`)
  }
}
