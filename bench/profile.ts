/**
 * Where the time of a training step goes: its kernels, longest first, and the share of JavaScript. JavaScript queues a
 * step while the device works on the one before; its share is how busy it is, not how long the device waits for it.
 */
import { three } from '../ts/cli/format.js'
import type { Device } from '../ts/native.js'
import { queueStep } from '../ts/train/step.js'
import { type BenchCase, caseName } from './cases.js'
import type { Report } from './report.js'
import { spread } from './statistics.js'
import { batches, createWorkload, inputOf, trainSteps, type Workload } from './workload.js'

const steps = 8

/** One case's kernels per step, and the main thread's milliseconds in loading and queueing a step. */
export async function profileTraining(
  one: BenchCase,
  device: Device,
  batch: number | undefined,
): Promise<Report> {
  const work = await createWorkload(one, device, batch)
  try {
    // Every batch twice: a step is captured when its shape comes again.
    await trainSteps(work, 0, 2 * batches)
    // Timing waits for each kernel before the next, so the step is timed without.
    const step = spread(await trainSteps(work, 2, steps)).median
    const queueing = spread(await queueingTimes(work)).median
    device.native.setProfiling(true)
    await trainSteps(work, 0, steps)
    const timings = Object.entries(device.native.timings())
    device.native.setProfiling(false)
    const kernels = timings
      .map(([name, [count, ms]]) => ({ name, calls: count / steps, ms: ms / steps }))
      .sort((a, b) => b.ms - a.ms)
    const total = kernels.reduce((sum, { ms }) => sum + ms, 0)
    const calls = kernels.reduce((sum, kernel) => sum + kernel.calls, 0)
    const share = queueing / step
    const percent = (part: number) => `${(100 * part).toFixed(1)} %`
    const batchSize = work.run.config.batchSize
    return {
      rows: [
        [`${caseName(one)}, batch ${batchSize}`, 'calls', 'ms', 'share'],
        ...kernels.map(({ name, calls, ms }) => [
          name,
          three(calls),
          three(ms),
          percent(ms / total),
        ]),
        ['all kernels', three(calls), three(total), percent(1)],
        ['step', '', three(step), ''],
        ['JavaScript', '', three(queueing), `${percent(share)} of the step`],
      ],
      records: [
        {
          bench: 'profile',
          ...one,
          batch: batchSize,
          stepMs: step,
          queueingMs: queueing,
          javascriptShare: share,
          kernelsPerStep: calls,
          kernels,
        },
      ],
    }
  } finally {
    work.close()
  }
}

/** Milliseconds that loading and queueing each step take while the device has nothing to do. */
async function queueingTimes(work: Workload): Promise<number[]> {
  const times: number[] = []
  for (let step = 0; step < steps; step++) {
    const start = performance.now()
    const queued = queueStep(work.run, await inputOf(work, step), step, 0)
    times.push(performance.now() - start)
    await queued.results
  }
  return times
}
