/** Ctrl-C: the first asks the work to stop in good order, a second one ends the process at once. */

import { exitCodes } from './failure.js'
import { note } from './terminal.js'

/** npm passes a Ctrl-C on that the terminal has sent already: two this near each other are one. */
const SAME_SIGNAL_MS = 500

/** The reason of the signal that `interruptible` gives. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/**
 * Runs `work` with a signal that SIGINT and SIGTERM abort.
 *
 * @param message what is said at the first one
 */
export async function interruptible<T>(
  message: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  let first = 0
  const stop = () => {
    if (controller.signal.aborted) {
      if (performance.now() - first > SAME_SIGNAL_MS) process.exit(exitCodes.interrupted)
      return
    }
    first = performance.now()
    note(message)
    controller.abort(new Interrupted('interrupted'))
  }
  process.on('SIGINT', stop).on('SIGTERM', stop)
  try {
    return await work(controller.signal)
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}
