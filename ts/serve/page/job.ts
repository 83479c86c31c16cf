/** The life of one picture, from waiting its turn to its caption. Shows nothing; card.ts does. */
import { requestCaption } from './caption-request.js'
import type { Lanes } from './lanes.js'
import { type Problem, unexpected } from './problem.js'
import type { CaptionReply } from './reply.js'

export type JobState =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'sending'; readonly share: number }
  | { readonly kind: 'looking' }
  | { readonly kind: 'writing'; readonly text: string }
  /** The server had no room; tried again in so many seconds. */
  | { readonly kind: 'busy'; readonly seconds: number }
  | { readonly kind: 'done'; readonly reply: CaptionReply }
  | { readonly kind: 'failed'; readonly problem: Problem }
  | { readonly kind: 'cancelled' }

export interface Picture {
  readonly name: string
  readonly file: Blob
}

export interface JobSettings {
  readonly fields: ReadonlyMap<string, string>
  readonly token: string
}

export interface Job {
  /** Begins, or begins again. */
  start(): void
  cancel(): void
}

/** How often a busy server is asked again before that is called a failure. */
const MOST_TRIES = 10

/** @param settings asked when the picture is sent, so that those changed while it waited count */
export function createJob(
  { name, file }: Picture,
  lanes: Lanes,
  settings: () => JobSettings,
  onState: (state: JobState) => void,
): Job {
  let current: AbortController | undefined

  const send = (signal: AbortSignal) =>
    requestCaption({
      picture: file,
      name,
      signal,
      ...settings(),
      onSent: (share) => onState(share < 1 ? { kind: 'sending', share } : { kind: 'looking' }),
      onText: (text) => onState({ kind: 'writing', text }),
    })

  const run = async (signal: AbortSignal) => {
    for (let tries = 1; ; tries++) {
      const outcome = await send(signal)
      if (!('title' in outcome)) return onState({ kind: 'done', reply: outcome })
      if (outcome.retryAfter === undefined || tries === MOST_TRIES)
        return onState({ kind: 'failed', problem: outcome })
      for (let seconds = outcome.retryAfter; seconds > 0; seconds--) {
        onState({ kind: 'busy', seconds })
        await pause(1000, signal)
      }
    }
  }

  return {
    start() {
      current?.abort()
      const controller = new AbortController()
      const { signal } = controller
      current = controller
      onState({ kind: 'waiting' })
      lanes(signal, () => run(signal)).catch((error: unknown) => {
        if (!signal.aborted) onState({ kind: 'failed', problem: unexpected(error) })
        else if (current === controller) onState({ kind: 'cancelled' })
      })
    },
    cancel: () => current?.abort(),
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })
}
