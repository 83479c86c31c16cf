/**
 * Errors as clients see them: a status and `{ error: { code, message }, requestId }`, never a stack. What only the server's
 * owner may know goes to the log.
 */
import { CaptioneerError } from '../errors.js'

/** A request that HTTP itself has something against: its path, size, type or token. */
export class HttpError extends CaptioneerError {
  readonly status: number
  constructor(status: number, code: string, message: string) {
    super(code, message)
    this.status = status
  }
}

/** The client is gone, so nobody reads the answer. 499 is what nginx calls it; only the log and the metrics see it. */
export const CLIENT_GONE = 499

const statusOfCode: Readonly<Record<string, number>> = {
  ERR_ARGUMENT: 400,
  ERR_IMAGE: 422,
  ERR_QUEUE_FULL: 429,
  ERR_UNAVAILABLE: 503,
  ERR_DEVICE: 503,
  ERR_OUT_OF_MEMORY: 503,
  ERR_TIMEOUT: 504,
}

/** Codes of errors that fastify and its plugins raise, by status. */
const codeOfStatus: Readonly<Record<number, string>> = {
  400: 'ERR_BAD_REQUEST',
  404: 'ERR_NOT_FOUND',
  405: 'ERR_METHOD',
  408: 'ERR_TIMEOUT',
  413: 'ERR_TOO_LARGE',
  414: 'ERR_TOO_LARGE',
  415: 'ERR_MEDIA_TYPE',
  431: 'ERR_TOO_LARGE',
}

const mediaTypes =
  'The content-type is none that is taken here: /caption takes multipart/form-data (curl -F file=@photo.jpg), ' +
  '/predict application/json'

/** What a client is told of an error. */
export interface Failure {
  readonly status: number
  readonly code: string
  readonly message: string
  /** Seconds to wait before the next try. */
  readonly retryAfter?: number
}

/** @param requestId what the log names the request, for messages that send one there */
export function failureOf(error: unknown, requestId: string): Failure {
  if (error instanceof HttpError) return clear(error.status, error)
  const status = statusOfCode[codeOf(error)]
  if (status !== undefined && error instanceof Error) {
    const failure = clear(status, error)
    if (status !== 429 && status !== 503) return failure
    const seconds = 'retryAfterSeconds' in error ? Number(error.retryAfterSeconds) : 1
    return { ...failure, retryAfter: seconds }
  }
  return foreign(error) ?? internal(requestId)
}

/** The body of a reply that is no success. */
export function failureBody({ code, message }: Failure, requestId: string): object {
  return { error: { code, message }, requestId }
}

function clear(status: number, error: Error): Failure {
  return { status, code: codeOf(error), message: error.message }
}

/** Of fastify and its plugins: their own words where the client is at fault. */
function foreign(error: unknown): Failure | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined
  const status = Number(error.statusCode)
  if (!(status >= 400 && status < 500)) return undefined
  const message = status === 415 ? mediaTypes : error.message
  return { status, code: codeOfStatus[status] ?? 'ERR_BAD_REQUEST', message }
}

function internal(requestId: string): Failure {
  return {
    status: 500,
    code: 'ERR_INTERNAL',
    message: `The server failed. Its log says more under the request id ${requestId}`,
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
