/** A short training run, twice with one seed: it learns, and repeats its bits. */
import { join } from 'node:path'
import { packageRoot } from '../../ts/native.js'
import type { Outcome, Piece } from './results.js'

const program = join(packageRoot, 'dist', 'bench', 'gpu-check', 'train-twice.js')

export const training: Piece = async (run) => {
  const { status, output } = await run(process.execPath, [program])
  const line = output.split('\n').find((text) => text.startsWith('[{'))
  if (status === 0 && line !== undefined) return readRuns(JSON.parse(line) as TrainRun[])
  const details = { status, end: output.slice(-4000) }
  return { passed: false, summary: `training ended with status ${status}`, details }
}

/** One of the runs that train-twice.ts prints. */
export interface TrainRun {
  readonly losses: readonly number[]
  readonly imagesPerSecond: number
}

export function readRuns(runs: readonly TrainRun[]): Outcome {
  const [first, second] = runs
  const losses = first?.losses ?? []
  const same = JSON.stringify(losses) === JSON.stringify(second?.losses)
  const [start = Number.NaN, end = Number.NaN] = [losses[0], losses.at(-1)]
  return {
    passed: same && end < start / 2,
    summary:
      `loss ${start.toFixed(3)} to ${end.toFixed(3)} in ${losses.length} steps, ` +
      `${same ? 'the same bits twice' : 'NOT the same bits twice'}, ` +
      `${(second ?? first)?.imagesPerSecond.toFixed(0)} images/s`,
    details: { runs },
  }
}
