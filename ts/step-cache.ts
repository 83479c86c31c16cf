/**
 * Steps that come again and again in a few shapes: eager at first, then captured, with inputs written from the host
 * before each replay. What is in a step is the caller's; recording is capture.ts's.
 */
import { type Captured, capture } from './capture.js'
import { captureWanted, createGraphCache } from './graph-cache.js'
import type { Device } from './native.js'
import {
  adopt,
  type HostArray,
  type Shape,
  scope,
  type Tensor,
  tensor,
  tensorsIn,
  unscoped,
} from './tensor.js'

/** The host's values of a tensor. */
export interface HostTensor {
  readonly data: HostArray
  readonly shape: Shape
}

/** Host values by name; absent ones stay absent on the device. */
export type HostInputs = { readonly [name: string]: HostTensor | undefined }

/** The same on a device. */
export type DeviceInputs<H extends HostInputs> = {
  readonly [K in keyof H]: H[K] extends HostTensor ? Tensor : Tensor | undefined
}

export interface StepCache {
  /**
   * Queues `step` on the inputs. What it returns is the caller's, as from an op; the tensors hold their values until the
   * next `run`, so reads of them must be queued before.
   * @param key all that the step depends on besides the shapes of its inputs
   */
  run<H extends HostInputs, T>(key: string, host: H, step: (inputs: DeviceInputs<H>) => T): T
  dispose(): void
}

const mostGraphs = 16

/**
 * A cache without graphs in it. Its graphs share the memory of their intermediate results.
 * @param captures false: every step runs eagerly
 */
export function createStepCache(device: Device, captures = captureWanted()): StepCache {
  const graphs = createGraphCache<{ inputs: NamedTensors; captured: Captured<unknown> }>({
    most: mostGraphs,
    free: ({ inputs, captured }) => {
      captured.dispose()
      releaseInputs(inputs)
    },
    captures,
    shared: true,
  })

  const run: StepCache['run'] = (key, host, step) => {
    const graph = graphs.get(`${key} ${shapesOf(host)}`, () => {
      const inputs = unscoped(() => upload(host, device))
      const [other] = graphs.values()
      try {
        const shareMemoryWith = other?.captured
        return { inputs, captured: capture(device, () => step(inputs), { shareMemoryWith }) }
      } catch (error) {
        releaseInputs(inputs)
        throw error
      }
    })
    if (!graph) return scope(() => step(upload(host, device)))
    writeInputs(graph.inputs, host)
    graph.captured.replay()
    const outputs = graph.captured.outputs as ReturnType<typeof step>
    for (const t of tensorsIn(outputs)) adopt(t.retain())
    return outputs
  }
  return { run, dispose: () => graphs.clear() }
}

type NamedTensors = { readonly [name: string]: Tensor | undefined }

/** Puts host values on a device; the tensors belong to the innermost scope. */
export function upload<H extends HostInputs>(host: H, device: Device): DeviceInputs<H> {
  const entries = Object.entries(host).flatMap(([name, values]) =>
    values ? [[name, tensor(values.data, values.shape, device)]] : [],
  )
  return Object.fromEntries(entries) as DeviceInputs<H>
}

/** Overwrites tensors that `upload` made of values of the same shapes. */
export function writeInputs(inputs: NamedTensors, host: HostInputs): void {
  for (const [name, values] of Object.entries(host)) if (values) inputs[name]?.write(values.data)
}

export function releaseInputs(inputs: NamedTensors): void {
  for (const t of tensorsIn(inputs)) t.release()
}

/** Names and shapes of the inputs, as a part of a key. */
export function shapesOf(host: HostInputs): string {
  return Object.entries(host)
    .flatMap(([name, values]) => (values ? [`${name}[${values.shape}]`] : []))
    .join(' ')
}
