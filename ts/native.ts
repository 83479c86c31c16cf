/**
 * Gives the native addon its types, opens devices, and their kernels (kernels.ts). Which build of the addon is loaded is
 * addon/load.ts's; what an op means is in ops/; who owns memory is in tensor.ts.
 */
import {
  addonNotFound,
  findAddon,
  isGpuExpected,
  type VariantReport,
  whyNoGpuKernels,
} from './addon/load.js'
import * as errors from './errors.js'
import type { Kernels, Maybe } from './kernels.js'
import type { Dtype } from './tensor.js'

/** Bytes and counts of a device's memory. */
export interface MemoryFacts {
  readonly liveTensors: number
  readonly liveBytes: number
  readonly peakBytes: number
  readonly reservedBytes: number
  readonly totalBytes: number
  readonly availableBytes: number
}

/** What the addon gives for an opened device; tensors are numbers here. */
interface NativeDevice {
  readonly name: 'cpu' | 'cuda'
  readonly description: string
  readonly kernels: Record<string, (...args: (number | boolean)[]) => void>
  allocate(shape: readonly number[], dtype: number): number
  upload(shape: readonly number[], dtype: number, data: NodeJS.TypedArray): number
  view(
    handle: number,
    shape: readonly number[],
    dtype: number,
    offset: number,
    rowStride: number,
  ): number
  free(handle: number): void
  write(handle: number, data: NodeJS.TypedArray): void
  read(handle: number): Promise<ArrayBuffer>
  memory(): MemoryFacts
  resetPeak(): void
  setProfiling(on: boolean): void
  timings(): Record<string, [count: number, milliseconds: number]>
  /** See capture.ts. */
  beginCapture(sharedGraph: number): void
  endCapture(): number
  abortCapture(): void
  replay(graph: number): void
  freeGraph(graph: number): void
}

/** An opened device: its kernels, called with tensors. Work is queued and runs in order on a native thread. */
export interface Device {
  readonly name: 'cpu' | 'cuda'
  /** The processor's or card's own name. */
  readonly description: string
  readonly kernels: Kernels
  readonly native: NativeDevice
}

interface Addon {
  open(device: string): NativeDevice
  /** Those that can be opened, the fastest first. */
  devices(): string[]
  /** Why device "cuda" cannot be opened and what to do about it; '' when it can. */
  whyNoGpu(): string
  setErrorFactory(make: (code: string, message: string) => Error): void
}

export type DeviceName = 'auto' | 'cpu' | 'cuda'

export const dtypeCodes: Readonly<Record<Dtype, number>> = {
  float32: 0,
  bfloat16: 1,
  int32: 2,
  uint8: 3,
}

export { packageRoot } from './package-root.js'

let prepared: Addon | undefined
const opened = new Map<string, Device>()

/** The addon, from the first build that loads. Throws DeviceError with one line per build when none does. */
export function loadAddon(): { addon: Addon; gpu: boolean; reports: readonly VariantReport[] } {
  const { addon, gpu, reports } = tryAddon()
  if (addon) return { addon, gpu, reports }
  throw new errors.DeviceError(addonNotFound(reports))
}

/** As loadAddon(), without throwing; `careful` as findAddon() has it. */
export function tryAddon(careful = false): {
  addon?: Addon
  gpu: boolean
  reports: readonly VariantReport[]
} {
  const { addon: found, gpu = false, reports } = findAddon({ careful })
  if (!found) return { gpu, reports }
  const addon = found as Addon
  if (prepared !== addon) addon.setErrorFactory(makeError)
  prepared = addon
  return { addon, gpu, reports }
}

/**
 * Opens a device once per process.
 * @param name 'auto' takes the GPU when there is one and otherwise the CPU
 * @throws DeviceError when the device is not there, with the reason and the way out
 */
export function openDevice(name: DeviceName = 'auto'): Device {
  if (name !== 'auto' && name !== 'cpu' && name !== 'cuda')
    throw errors.argumentError('device', 'the name', "'auto', 'cpu' or 'cuda'", name)
  const { addon, gpu } = loadAddon()
  const actual = name === 'auto' ? (addon.devices()[0] ?? 'cpu') : name
  const known = opened.get(actual)
  if (known) return known
  if (actual === 'cuda' && !gpu)
    throw new errors.DeviceError(`device "cuda" is unavailable: ${whyNoGpu()}`)
  const native = addon.open(actual)
  const device: Device = {
    name: native.name,
    description: native.description,
    kernels: typedKernels(native),
    native,
  }
  opened.set(actual, device)
  return device
}

/**
 * Why 'auto' came to the CPU on a machine that could have done better: a build with GPU kernels, or an NVIDIA driver, is
 * there. Undefined where nothing is missing.
 */
export function fallbackReason(asked: DeviceName, device: Device): string | undefined {
  if (asked !== 'auto' || device.name === 'cuda') return undefined
  return isGpuExpected(loadAddon()) ? whyNoGpu() : undefined
}

/** Why device "cuda" cannot be opened and what to do about it; '' when it can. */
export function whyNoGpu(): string {
  const { addon, gpu, reports } = loadAddon()
  return gpu ? addon.whyNoGpu() : whyNoGpuKernels(reports)
}

/** Waits until all queued work is done; rejects with the first error of that work. */
export async function synchronize(device: Device): Promise<void> {
  await device.native.read(0)
}

function typedKernels(native: NativeDevice): Kernels {
  const wrapped = Object.entries(native.kernels).map(([name, kernel]) => [
    name,
    (...args: (Maybe | number | boolean)[]) => kernel(...args.map(toNative)),
  ])
  return Object.fromEntries(wrapped) as Kernels
}

function toNative(value: Maybe | number | boolean): number | boolean {
  if (value === undefined) return 0
  return typeof value === 'object' ? value.id : value
}

const errorClasses = {
  ERR_SHAPE: errors.ShapeError,
  ERR_DTYPE: errors.DtypeError,
  ERR_ARGUMENT: errors.ArgumentError,
  ERR_DISPOSED: errors.DisposedError,
  ERR_OUT_OF_MEMORY: errors.OutOfMemoryError,
  ERR_DEVICE: errors.DeviceError,
} as const

function makeError(code: string, message: string): Error {
  const known = errorClasses[code as keyof typeof errorClasses]
  return known ? new known(message) : new errors.CaptioneerError(code, message)
}
