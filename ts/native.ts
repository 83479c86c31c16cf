/**
 * Finds and loads the native addon, opens devices, and gives its kernels their types (kernels.ts).
 * What an op means is in ops/; who owns memory is in tensor.ts.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
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

/** The package's own folder: this file lies in dist/ts. */
export const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Builds of the addon, the most capable first. The emulated one is for tests and never published. */
const variants = ['cuda', 'cpu'] as const

/** What became of one build variant when the addon was looked for. */
export interface VariantReport {
  readonly variant: string
  readonly folder: string
  readonly loaded: boolean
  readonly reason?: string
}

let loaded: { addon: Addon; reports: readonly VariantReport[] } | undefined
const opened = new Map<string, Device>()

/** Tries each build variant in turn. Throws DeviceError with one line per path when none loads. */
export function loadAddon(): { addon: Addon; reports: readonly VariantReport[] } {
  const { addon, reports } = tryAddon()
  if (addon) return { addon, reports }
  throw new errors.DeviceError(addonNotFound(reports))
}

/** Tries each build variant in turn, up to the first that loads. Never throws: the reports say why each failed. */
export function tryAddon(): { addon?: Addon; reports: readonly VariantReport[] } {
  if (loaded) return loaded
  // A helper thread that finds no work spins for about 0.1 ms before it sleeps: waking a sleeping one costs as much on a
  // virtual machine, and a step has hundreds of kernels. Endless spinning made small models 20 times slower as soon as
  // another process wanted the core. libgomp reads these once, when it is loaded.
  process.env.OMP_WAIT_POLICY ??= 'PASSIVE'
  process.env.GOMP_SPINCOUNT ??= '10000'
  const require = createRequire(import.meta.url)
  const load = require('node-gyp-build') as (folder: string) => Addon
  const wanted = process.env.CAPTIONEER_VARIANT
  const reports: VariantReport[] = []
  for (const variant of wanted ? [wanted] : variants) {
    const folder = join(packageRoot, 'build', variant)
    try {
      const addon = load(folder)
      addon.setErrorFactory(makeError)
      reports.push({ variant, folder, loaded: true })
      loaded = { addon, reports }
      return loaded
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
      reports.push({ variant, folder, loaded: false, reason })
    }
  }
  return { reports }
}

/** One line per path tried and why it failed, then what to do. */
export function addonNotFound(reports: readonly VariantReport[]): string {
  return [
    'captioneer: its native addon could not be loaded.',
    ...reports.map((report) => `  ${report.variant} (${report.folder}): ${report.reason}`),
    'Possible solutions:',
    '  - in a clone of the repository, build it: ./captioneer-setup',
    '  - check the system: captioneer needs Linux on x86-64, glibc 2.34 or newer, and libdnnl2',
    '  - choose a variant by hand: CAPTIONEER_VARIANT=cpu',
  ].join('\n')
}

/**
 * Opens a device once per process.
 * @param name 'auto' takes the GPU when there is one and otherwise the CPU
 * @throws DeviceError when the device is not there, with the reason and the way out
 */
export function openDevice(name: DeviceName = 'auto'): Device {
  if (name !== 'auto' && name !== 'cpu' && name !== 'cuda')
    throw errors.argumentError('device', 'the name', "'auto', 'cpu' or 'cuda'", name)
  const { addon } = loadAddon()
  const actual = name === 'auto' ? (addon.devices()[0] ?? 'cpu') : name
  const known = opened.get(actual)
  if (known) return known
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
 * Why 'auto' came to the CPU on a machine that could have done better: a build with GPU kernels, or an NVIDIA card, is
 * there. Undefined where nothing is missing.
 */
export function fallbackReason(asked: DeviceName, device: Device): string | undefined {
  if (asked !== 'auto' || device.name === 'cuda') return undefined
  const { addon, reports } = loadAddon()
  const gpuBuild = reports.some(({ variant, loaded }) => variant === 'cuda' && loaded)
  return gpuBuild || existsSync('/dev/nvidia0') ? addon.whyNoGpu() : undefined
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
