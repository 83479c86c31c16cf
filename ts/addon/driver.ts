/**
 * The NVIDIA driver's version, read from the system's files: asking the driver itself would mean loading a build with GPU
 * kernels first.
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { basename, delimiter, join } from 'node:path'

export interface Driver {
  /** As NVIDIA writes it, e.g. '580.65.06'. Undefined where no file tells, as under WSL. */
  readonly version?: string
  /** libcuda.so.1, the part that programs use. Undefined where only the kernel's part is there, as in many containers. */
  readonly library?: string
}

/**
 * Oldest driver for a version of CUDA. Source: NVIDIA, CUDA Compatibility, "Minor version compatibility", table of minimum
 * required drivers.
 */
const oldestDriver: Readonly<Record<number, number>> = { 13: 580, 12: 525 }

/** Undefined where there is no NVIDIA driver. */
export function findDriver(root = '/'): Driver | undefined {
  const library = findLibrary(root)
  const version = (library && versionOfLibrary(library)) ?? versionOfKernelModule(root)
  if (library === undefined && version === undefined) return undefined
  return {
    ...(version === undefined ? {} : { version }),
    ...(library === undefined ? {} : { library }),
  }
}

/** Why GPU kernels made with this version of CUDA cannot run; undefined where they can, or where nothing is known. */
export function driverObstacle(
  cuda: number,
  driver: Driver | undefined,
): { reason: string; solution: string } | undefined {
  const oldest = oldestDriver[cuda] ?? 0
  if (!driver)
    return {
      reason: 'there is no NVIDIA driver (libcuda.so.1) on this machine',
      solution: `For a GPU install NVIDIA's driver ${oldest} or newer`,
    }
  if (!driver.library)
    return {
      reason: `the NVIDIA driver ${driver.version ?? ''} is there, but not its libcuda.so.1`,
      solution: 'In a container: start it with the GPU, e.g. docker run --gpus all',
    }
  if (driver.version === undefined || Number.parseInt(driver.version, 10) >= oldest)
    return undefined
  return {
    reason: `the NVIDIA driver is ${driver.version}; kernels for CUDA ${cuda} need ${oldest} or newer`,
    solution: `Install driver ${oldest} or newer, or the package for an older CUDA`,
  }
}

function findLibrary(root: string): string | undefined {
  const folders = [
    ...(process.env.LD_LIBRARY_PATH ?? '').split(delimiter).filter(Boolean),
    ...[
      'usr/lib/x86_64-linux-gnu',
      'usr/lib/aarch64-linux-gnu',
      'usr/lib64',
      'usr/lib',
      'usr/lib/wsl/lib',
      'usr/local/nvidia/lib64',
      'run/opengl-driver/lib',
    ].map((folder) => join(root, folder)),
  ]
  return [...folders.map((folder) => join(folder, 'libcuda.so.1')), ...inLinkerCache(root)].find(
    existsSync,
  )
}

/** The dynamic linker's cache holds paths as text that ends with a zero byte. */
function inLinkerCache(root: string): string[] {
  try {
    const cache = readFileSync(join(root, 'etc/ld.so.cache'), 'latin1')
    return cache.match(/\/[^\0]*\/libcuda\.so\.1(?=\0)/g) ?? []
  } catch {
    return []
  }
}

function versionOfLibrary(library: string): string | undefined {
  return /^libcuda\.so\.(\d+\.\d[\d.]*)$/.exec(basename(realpathSync(library)))?.[1]
}

function versionOfKernelModule(root: string): string | undefined {
  try {
    const text = readFileSync(join(root, 'proc/driver/nvidia/version'), 'utf8')
    return /Kernel Module.*?\s(\d+\.\d[\d.]*)\s/.exec(text)?.[1]
  } catch {
    return undefined
  }
}
