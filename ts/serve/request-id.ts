/** The name of a request in the log, in replies and in the `x-request-id` header: the client's own where it is plain. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

export function requestId({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID()
}
