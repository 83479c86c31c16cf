/** The tests of ops, models, decoding and capture on the GPU: the same files that run on the CPU and the emulator. */
import { join } from 'node:path'
import { packageRoot } from '../../ts/native.js'
import { tooLong } from './program.js'
import type { Piece } from './results.js'
import { readTap } from './tap.js'

const ava = join(packageRoot, 'node_modules', 'ava', 'entrypoints', 'cli.mjs')

export const conformanceFiles = [
  'ops/ops',
  'ops/edges',
  'ops/convolution',
  'ops/dropout',
  'ops/attention-kernel',
  'decoding/search',
  'decoding/sample',
  'decoding/attend-cache',
  'capture',
  'models/backends',
  'models/caption-loop',
  'train/optimizer',
].map(compiled)

/** A test file as tsc leaves it. */
export function compiled(name: string): string {
  return `dist/tests/${name}.test.js`
}

/** Arguments for Node that run those files, or the tests of them that match. */
export function testArguments(files: readonly string[], match: readonly string[] = []): string[] {
  return [ava, '--tap', '--timeout=9m', ...match.map((pattern) => `--match=${pattern}`), ...files]
}

export const conformance: Piece = async (run) => {
  const { status, output } = await run(process.execPath, testArguments(conformanceFiles))
  const { passed, skipped, failed } = readTap(output)
  return {
    passed: status === 0 && failed.length === 0 && passed > 0,
    summary:
      `${passed} tests passed, ${failed.length} failed, ${skipped} skipped` +
      (status === tooLong ? '; not all of them in time' : ''),
    details: { failed, ...(status === 0 ? {} : { status, end: output.slice(-4000) }) },
  }
}
