/** The benchmark grid beside PyTorch on the same GPU: what `npm run bench -- --device cuda` prints, kept. */
import { join } from 'node:path'
import { packageRoot } from '../../ts/native.js'
import { chooseChecked, type Ran, type Run, tooLong } from './program.js'
import type { Outcome, Piece } from './results.js'

const bench = join(packageRoot, 'dist', 'bench', 'main.js')

const resnet18 = ['--preset', 'resnet18-transformer', '--batch', '128']
const mobilenet = ['--preset', 'mobilenetv2-transformer', '--batch', '128']
const tiny = ['--preset', 'tiny', '--batch', '128']
const simple = ['--variants', 'eager-tf32,eager,graphs,compile']
// Tunes each product and convolution for minutes.
const tuned = ['--variants', 'compile-max']
// A caption's variants: the whole loop as one graph beats what compiling does to its small steps.
const captioning = ['--variants', 'eager,graphs']

/** One piece a preset and kind, so that each ends in time. */
export const benchmarks: Readonly<Record<string, Piece>> = {
  'bench-kernels': (run) => measure(run, ['kernels']),
  'profile-resnet18': (run) => measure(run, ['profile', ...resnet18]),
  'bench-train-resnet18': (run) => measure(run, ['train', ...resnet18, ...simple]),
  'bench-train-resnet18-max': (run) => measure(run, ['train', ...resnet18, ...tuned]),
  'bench-train-mobilenetv2': (run) => measure(run, ['train', ...mobilenet, ...simple]),
  'bench-train-mobilenetv2-max': (run) => measure(run, ['train', ...mobilenet, ...tuned]),
  'bench-train-tiny': (run) => measure(run, ['train', ...tiny, ...simple]),
  'bench-train-tiny-max': (run) => measure(run, ['train', ...tiny, ...tuned]),
  'bench-caption-resnet18': (run) => measure(run, ['caption', ...resnet18, ...captioning]),
  'bench-caption-mobilenetv2': (run) => measure(run, ['caption', ...mobilenet, ...captioning]),
}

async function measure(run: Run, args: readonly string[]): Promise<Outcome> {
  const { device } = chooseChecked()
  const known = device === 'cuda' ? args : rehearsal(args)
  return readBenchmark(
    known,
    await run(process.execPath, [bench, ...known, '--device', device, '--quick']),
  )
}

/** Without the variants that only a GPU has, and of a size for a CPU. */
function rehearsal(args: readonly string[]): string[] {
  const gpuOnly = ['--variants', '--batch']
  const kept = args.filter(
    (arg, i) => !gpuOnly.includes(arg) && !gpuOnly.includes(args[i - 1] ?? ''),
  )
  return [...kept, '--batch', '2']
}

/** A record of the benchmark, as far as it matters here. */
interface BenchRecord {
  readonly error?: string
  readonly ours?: object
  readonly firstLoss?: { readonly agree: boolean }
}

/** Passed: everything of ours was measured and both sides began with the same loss. PyTorch may have failed. */
export function readBenchmark(args: readonly string[], { status, output }: Ran): Outcome {
  // A line is cut off where a program was ended.
  const records = output
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as BenchRecord)
  const failed = records.filter(({ error }) => error !== undefined)
  const apart = records.filter(({ firstLoss }) => firstLoss && !firstLoss.agree)
  const measured = records.length > 0 && records.length > failed.filter(({ ours }) => !ours).length
  return {
    passed: status === 0 && measured && apart.length === 0,
    summary:
      `bench ${args.join(' ')}: ${records.length} rows, ${failed.length} of PyTorch failed, ` +
      `${apart.length} with other first losses${status === tooLong ? '; not all in time' : ''}`,
    details: { records, ...(status === 0 ? {} : { status, end: output.slice(-3000) }) },
  }
}
