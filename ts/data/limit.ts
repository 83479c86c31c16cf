/** Runs at most so many asynchronous jobs at a time, the rest in the order in which they came. */
import { argumentError } from '../errors.js'

/** Starts a job as soon as fewer than the limit are running; resolves or rejects as the job does. */
export type Limit = <R>(job: () => Promise<R>) => Promise<R>

/** @throws ArgumentError when `concurrency` is not a whole number above 0 */
export function createLimit(concurrency: number): Limit {
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw argumentError('createLimit', 'concurrency', 'a whole number above 0', concurrency)
  }
  let running = 0
  const waiting: (() => void)[] = []
  return async (job) => {
    if (running >= concurrency) await new Promise<void>((start) => waiting.push(start))
    else running++
    try {
      return await job()
    } finally {
      // The place goes straight to the next in line, so that no newcomer can take it in between.
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
