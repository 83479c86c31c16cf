/**
 * Points this process at the CUDA kernels run by the emulator, before anything opens a device: the tests imported
 * afterwards run there. One process has one set of settings, so each has a file of its own (ava gives it a process).
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../ts/native.js'

export interface EmulatorSettings {
  /** Compute capability that the emulated card claims: 8.0 takes the mma.sync paths, 9.0 those of wgmma and TMA. */
  readonly capability: '8.0' | '9.0'
  /** Whether races, bounds, first reads and fences are checked: about ten times slower. */
  readonly check: boolean
  readonly schedule?: 'fifo' | 'reverse' | 'random'
  readonly async?: 'eager' | 'lazy' | 'random'
  /** Multiprocessors that the card claims: with 1 a persistent kernel makes all tiles in one block. */
  readonly processors?: number
  /** Of ops.test.ts only these. */
  readonly ops?: readonly string[]
}

export function useEmulator(settings: EmulatorSettings): void {
  const { capability, check, schedule, async, processors, ops } = settings
  const folder = join(packageRoot, 'build', 'emulated')
  if (!existsSync(folder))
    throw new Error(`${folder} is missing. Build it with: npm run build -- --emulated`)
  Object.assign(process.env, {
    CAPTIONEER_VARIANT: process.env.CAPTIONEER_VARIANT ?? 'emulated',
    CAPTIONEER_TEST_DEVICE: 'cuda',
    CAPTIONEER_EMULATOR_CAPABILITY: capability,
    CAPTIONEER_EMULATOR_CHECK: check ? '1' : '0',
    ...(schedule && { CAPTIONEER_EMULATOR_SCHEDULE: schedule }),
    ...(async && { CAPTIONEER_EMULATOR_ASYNC: async }),
    ...(processors && { CAPTIONEER_EMULATOR_PROCESSORS: String(processors) }),
    ...(ops && { CAPTIONEER_TEST_OPS: ops.join() }),
  })
}
