/** How far a picture is, in words and as a share. */
import type { JobState } from './job.js'

export interface Status {
  readonly words: string
  /** 0 to 1; nothing where it is not known. */
  readonly share?: number
}

export function statusOf(state: JobState): Status {
  switch (state.kind) {
    case 'waiting':
      return { words: 'Waiting for its turn', share: 0 }
    case 'sending':
      return { words: `Sending, ${Math.round(100 * state.share)} %`, share: state.share }
    case 'looking':
      return { words: 'Looking' }
    case 'writing':
      return { words: 'Writing' }
    case 'busy':
      return { words: `The server is busy. Trying again in ${state.seconds} s`, share: 0 }
    case 'done':
      return { words: '', share: 1 }
    case 'failed':
      return { words: state.problem.title, share: 0 }
    case 'cancelled':
      return { words: 'Cancelled', share: 0 }
  }
}
