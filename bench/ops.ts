/** Milliseconds of every op of the registry: over the samples that its tests use, and over a few large ones. */
import { type Sample, type SampleInput, samples } from '../tests/ops/samples.js'
import { three } from '../ts/cli/format.js'
import { type Device, synchronize } from '../ts/native.js'
import type { OpInputs } from '../ts/ops/define-op.js'
import { type OpName, ops } from '../ts/ops/registry.js'
import { weightedSum } from '../ts/ops/weighted-sum.js'
import { createRandom } from '../ts/random.js'
import { differentiate } from '../ts/tape.js'
import { scope, sizeOf, type Tensor, tensor } from '../ts/tensor.js'
import { largeShapes } from './large-shapes.js'
import type { Report } from './report.js'
import { spread } from './statistics.js'

type AnyOp = (inputs: OpInputs<string>, options?: object) => Tensor
type Inputs = Readonly<Record<string, Tensor>>

/** Rows and records of all ops; `quick` times each for a shorter while. */
export async function benchOps(device: Device, quick: boolean): Promise<Report> {
  const rows = [['', 'forward ms', 'with gradient ms']]
  const records: object[] = []
  for (const name of Object.keys(ops) as OpName[]) {
    for (const sample of [...samples[name].right, ...(largeShapes[name] ?? [])]) {
      const times = await timesOf(name, sample, device, quick ? 5 : 50)
      rows.push([
        title(name, sample),
        three(times.forward),
        times.gradient ? three(times.gradient) : '-',
      ])
      records.push({
        bench: 'ops',
        op: name,
        shapes: shapesOf(sample),
        options: sample.options,
        ...times,
      })
    }
  }
  return { rows, records }
}

async function timesOf(name: OpName, sample: Sample, device: Device, milliseconds: number) {
  const op = ops[name] as unknown as AnyOp
  const inputs = scope(() => upload(sample, device))
  const call = () => op(inputs as OpInputs<string>, sample.options)
  const forward = await timeOf(() => void scope(() => void call()), device, milliseconds)
  const wanted = (
    sample.gradients ?? Object.keys(inputs).filter((key) => inputs[key]?.dtype === 'float32')
  ).map((key) => inputs[key] as Tensor)
  const like = scope(call)
  const weights = tensor(new Float32Array(like.size).fill(1), like.shape, device)
  const step = () =>
    void scope(() => void differentiate(wanted, () => weightedSum({ x: call(), weights })))
  const gradient = ops[name].spec.differentiable
    ? await timeOf(step, device, milliseconds)
    : undefined
  for (const used of [...Object.values(inputs), like, weights]) used.release()
  return { forward, ...(gradient === undefined ? {} : { gradient }) }
}

/** Milliseconds of one call: median of five stretches of calls, each `milliseconds` long or one call. */
async function timeOf(call: () => void, device: Device, milliseconds: number): Promise<number> {
  const stretch = async (count: number) => {
    const start = performance.now()
    for (let i = 0; i < count; i++) call()
    await synchronize(device)
    return (performance.now() - start) / count
  }
  await stretch(1)
  const count = Math.max(1, Math.min(1000, Math.round(milliseconds / (await stretch(2)))))
  const times: number[] = []
  for (let i = 0; i < 5; i++) times.push(await stretch(count))
  return spread(times).median
}

function upload(sample: Sample, device: Device): Inputs {
  const random = createRandom(1)
  const valuesOf = ({ shape, data, integers, scale = 1, offset = 0 }: SampleInput) => {
    if (data) return data
    const [low, high] = integers ?? [0, 1]
    const value = () =>
      integers ? low + Math.floor(random() * (high - low)) : scale * (2 * random() - 1) + offset
    return Array.from({ length: sizeOf(shape) }, value)
  }
  const entries = Object.entries(sample.inputs).map(([name, input]) => [
    name,
    tensor(valuesOf(input), input.shape, device, input.dtype ?? 'float32'),
  ])
  return Object.fromEntries(entries) as Inputs
}

function shapesOf(sample: Sample): Readonly<Record<string, readonly number[]>> {
  return Object.fromEntries(Object.entries(sample.inputs).map(([name, { shape }]) => [name, shape]))
}

function title(name: OpName, sample: Sample): string {
  const shapes = Object.values(sample.inputs)
    .slice(0, 2)
    .map(({ shape }) => `[${shape.join(', ')}]`)
  return `${name} ${shapes.join(' ')}`
}
