/** Sends one picture and follows its caption as it is written. XMLHttpRequest, as fetch does not say how much was sent. */
import { eventReader, type ServerEvent } from './event-reader.js'
import { type Problem, problemOf } from './problem.js'
import type { CaptionReply } from './reply.js'

export interface CaptionRequest {
  readonly picture: Blob
  readonly name: string
  /** Options of the caption by the names of the server's fields. */
  readonly fields: ReadonlyMap<string, string>
  /** Access token; empty for none. */
  readonly token: string
  readonly signal: AbortSignal
  /** How much of the picture was sent, 0 to 1. */
  readonly onSent: (share: number) => void
  /** The caption so far. */
  readonly onText: (text: string) => void
}

/** The caption, or why there is none. Rejects with the signal's reason when it is aborted. */
export async function requestCaption(request: CaptionRequest): Promise<CaptionReply | Problem> {
  const { picture, name, fields, token, signal, onSent, onText } = request
  // The request would fail without a word of why.
  const readable = await isReadable(picture)
  signal.throwIfAborted()
  if (!readable) return UNREADABLE
  const form = new FormData()
  for (const [field, value] of fields) form.set(field, value)
  form.set('file', picture, name)

  const http = new XMLHttpRequest()
  http.open('POST', 'caption?stream=true')
  http.setRequestHeader('Accept', 'text/event-stream')
  if (token) http.setRequestHeader('Authorization', `Bearer ${token}`)
  let outcome: CaptionReply | Problem | undefined
  const onEvent = ({ event, data }: ServerEvent) => {
    const content = parsed(data)
    if (event === 'token' && typeof content.text === 'string') onText(content.text)
    if (event === 'caption') outcome = content as unknown as CaptionReply
    if (event === 'error') outcome = refusal(http, content)
  }
  const read = eventReader(onEvent)
  let seen = 0
  const readMore = () => {
    if (http.status !== 200) return
    const piece = http.responseText.slice(seen)
    seen += piece.length
    read(piece)
  }
  http.upload.addEventListener('progress', ({ loaded, total }) => onSent(loaded / total))
  http.upload.addEventListener('load', () => onSent(1))
  http.addEventListener('progress', readMore)
  const abort = () => http.abort()
  signal.addEventListener('abort', abort)
  try {
    await new Promise((resolve) => {
      http.addEventListener('loadend', resolve)
      http.send(form)
    })
  } finally {
    signal.removeEventListener('abort', abort)
  }
  signal.throwIfAborted()
  readMore()
  if (http.status !== 200) return refusal(http, parsed(http.responseText))
  return outcome ?? problemOf({ status: 0, message: 'The connection ended before the caption.' })
}

const UNREADABLE: Problem = {
  title: 'This cannot be read. Is it a folder, or a file that has changed since?',
  detail: '',
}

/** Folders can be dropped, too, and look like files. */
async function isReadable(picture: Blob): Promise<boolean> {
  return picture
    .slice(0, 1)
    .arrayBuffer()
    .then(
      () => true,
      () => false,
    )
}

function refusal(http: XMLHttpRequest, content: Readonly<Record<string, unknown>>): Problem {
  const error = (content.error ?? {}) as { code?: string; message?: string }
  const retryAfter = http.status === 0 ? null : http.getResponseHeader('Retry-After')
  return problemOf({ status: http.status, ...error, retryAfter })
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const content: unknown = JSON.parse(text)
    return typeof content === 'object' && content !== null ? { ...content } : {}
  } catch {
    return {}
  }
}
