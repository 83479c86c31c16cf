/** Time as the queue sees it, so that tests can give it another. */

export interface Clock {
  /** ms, never going back. */
  now(): number
  /** Calls `then` once at a time that `now` gives, or soon when that has passed; returns what prevents it. */
  at(time: number, then: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  at: (time, then) => {
    const timer = setTimeout(then, Math.max(0, Math.ceil(time - performance.now())))
    return () => clearTimeout(timer)
  },
}
