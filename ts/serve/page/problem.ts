/** What can go wrong with a picture, in plain words. */

/** Why a picture has no caption. */
export interface Problem {
  readonly title: string
  /** What the server said of it. */
  readonly detail: string
  /** Seconds after which it may be tried again, where the server is only busy. */
  readonly retryAfter?: number
  /** Whether the server wants to know who asks. */
  readonly needsToken?: boolean
}

/** What the server says when it refuses. */
export interface Refusal {
  /** 0: no answer came. */
  readonly status: number
  readonly code?: string | undefined
  readonly message?: string | undefined
  /** The reply's Retry-After. */
  readonly retryAfter?: string | null | undefined
}

const USUAL_WAIT = 5
const LONGEST_WAIT = 300

const titles: Readonly<Record<string, string>> = {
  ERR_IMAGE: 'This file is not a picture that can be read. JPEG, PNG and WebP work.',
  ERR_QUEUE_FULL: 'The server is busy.',
  ERR_TIMEOUT: 'This took too long, so the server gave up.',
  ERR_UNAVAILABLE: 'The server is starting or about to stop. Try again in a moment.',
  ERR_ARGUMENT: 'The server does not take these options.',
}

const titlesByStatus: Readonly<Record<number, string>> = {
  0: 'The server does not answer. Is it still running?',
  400: 'The server does not take these options.',
  401: 'This server wants an access token. Enter it under Options.',
  403: 'The server does not allow this.',
  404: 'The server does not know this model.',
  408: 'This took too long, so the server gave up.',
  413: 'This file is larger than the server takes.',
  415: 'This file is not a picture that can be read. JPEG, PNG and WebP work.',
  422: 'This file is not a picture that can be read. JPEG, PNG and WebP work.',
  429: 'The server is busy.',
  503: 'The server is starting or about to stop. Try again in a moment.',
  504: 'This took too long, so the server gave up.',
}

export function problemOf({ status, code = '', message = '', retryAfter }: Refusal): Problem {
  const title =
    titlesByStatus[status] ?? titles[code] ?? 'Something went wrong on the server. Try again.'
  const busy = status === 429 || code === 'ERR_QUEUE_FULL'
  return {
    title,
    detail: message,
    ...(busy && { retryAfter: waitOf(retryAfter) }),
    ...(status === 401 && { needsToken: true }),
  }
}

function waitOf(retryAfter: string | null | undefined): number {
  const seconds = Math.ceil(Number(retryAfter ?? USUAL_WAIT))
  return seconds >= 0 ? Math.min(Math.max(seconds, 1), LONGEST_WAIT) : USUAL_WAIT
}

/** What the browser itself refused, such as a token that no header can carry. */
export function unexpected(error: unknown): Problem {
  return {
    title: 'The browser could not send this picture.',
    detail: error instanceof Error ? error.message : String(error),
  }
}
