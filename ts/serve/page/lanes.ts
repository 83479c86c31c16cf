/** Lets a few pieces of work run at a time, in the order in which they came. */

/** Runs the work when it is its turn. Rejects with the signal's reason when it is aborted before. */
export type Lanes = <Result>(signal: AbortSignal, work: () => Promise<Result>) => Promise<Result>

export function createLanes(count: number): Lanes {
  let free = count
  const waiting: (() => void)[] = []
  const turn = async (signal: AbortSignal) => {
    if (free > 0) {
      free--
      return
    }
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        waiting.splice(waiting.indexOf(enter), 1)
        reject(signal.reason)
      }
      const enter = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      waiting.push(enter)
      signal.addEventListener('abort', leave, { once: true })
    })
  }
  return async (signal, work) => {
    signal.throwIfAborted()
    await turn(signal)
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}
