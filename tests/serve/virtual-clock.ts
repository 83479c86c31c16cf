/** A clock that goes from one event to the next, as fast as they can be worked off. */
import type { Clock } from '../../ts/serve/clock.js'

export interface VirtualClock extends Clock {
  /** Lets the next event happen; false when there is none. */
  step(): boolean
}

export function createVirtualClock(): VirtualClock {
  let now = 0
  let events: { readonly time: number; readonly then: () => void }[] = []
  return {
    now: () => now,
    at: (time, then) => {
      const event = { time: Math.max(time, now), then }
      const later = events.findIndex((other) => other.time > event.time)
      events.splice(later < 0 ? events.length : later, 0, event)
      return () => {
        events = events.filter((other) => other !== event)
      }
    },
    step: () => {
      const event = events.shift()
      if (!event) return false
      now = event.time
      event.then()
      return true
    },
  }
}
