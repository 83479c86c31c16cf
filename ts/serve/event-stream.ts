/**
 * Server-sent events of one piece of work: its progress, its end, comments as heartbeats while nothing happens. A reader
 * that is slow is waited for; one that is gone destroys the stream.
 * Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
import { Readable } from 'node:stream'

export interface EventStreamOptions {
  /** ms without an event after which a comment is sent. */
  readonly heartbeat: number
  /** What the `error` event tells of an error that came after the first event. */
  readonly failure: (error: unknown) => object
}

/**
 * Starts `work` and waits for its first progress, its end, or a heartbeat: what it throws before that is thrown, so that it
 * can still have a status of its own.
 * @param work calls `progress` with each text; its result is the data of the `caption` event
 */
export async function eventStream(
  work: (progress: (text: string) => void) => Promise<object>,
  { heartbeat, failure }: EventStreamOptions,
): Promise<Readable> {
  const waiting: string[] = []
  let isOver = false
  let error: unknown
  let wake = () => {}
  const add = (event: string, data: object) => {
    waiting.push(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
    wake()
  }
  const changed = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, heartbeat)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  const first = changed()
  work((text) => add('token', { text }))
    .then((reply) => add('caption', reply))
    .catch((reason: unknown) => {
      error = reason
    })
    .finally(() => {
      isOver = true
      wake()
    })
  await first
  if (error !== undefined) throw error

  async function* events(): AsyncGenerator<string> {
    for (;;) {
      const next = waiting.shift()
      if (next !== undefined) yield next
      else if (!isOver) {
        await changed()
        if (waiting.length === 0 && !isOver) yield ': still at work\n\n'
      } else break
    }
    if (error !== undefined) yield `event: error\ndata: ${JSON.stringify(failure(error))}\n\n`
  }
  return Readable.from(events(), { objectMode: false })
}
