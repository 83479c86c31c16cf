/**
 * Requests whose fate is known to the byte: what came back, and where nothing did, whether all of it had been sent. fetch
 * tells neither that nor reuses connections so plainly.
 */
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { createRandom } from '../../ts/random.js'

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export interface Exchange {
  /** Undefined where the connection failed first. */
  readonly reply?: Reply
  /** The system's name of the failure: ECONNREFUSED, ECONNRESET. */
  readonly failure?: string
  /** Whether all of the request had been given to a connection. */
  readonly sent: boolean
  /** From the first byte out to the last one in. */
  readonly ms: number
}

export interface Call {
  readonly method?: 'GET' | 'POST'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
}

export interface Client {
  exchange(call: Call): Promise<Exchange>
  close(): void
}

/** Keeps its connections. @param connections most at the same time */
export function createClient(port: number, connections = Number.POSITIVE_INFINITY): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  return {
    exchange: (call) => exchange(agent, port, call),
    close: () => agent.destroy(),
  }
}

function exchange(agent: Agent, port: number, call: Call): Promise<Exchange> {
  const { method = 'GET', path, headers = {}, body } = call
  const started = performance.now()
  return new Promise((resolve) => {
    let sent = false
    const end = (outcome: Pick<Exchange, 'reply' | 'failure'>): void =>
      resolve({ ...outcome, sent, ms: performance.now() - started })
    const failed = (error: NodeJS.ErrnoException): void =>
      end({ failure: error.code ?? error.message })
    const length = body ? { 'content-length': String(body.length) } : {}
    const request = httpRequest({
      agent,
      host: '127.0.0.1',
      port,
      method,
      path,
      headers: { ...length, ...headers },
    })
    request.on('finish', () => {
      sent = true
    })
    request.on('error', failed)
    request.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('error', failed)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        end({ reply: { status: response.statusCode ?? 0, headers: response.headers, text } })
      })
    })
    request.end(body)
  })
}

/** A form with one file as curl sends it. The file's name comes back with the caption. */
export function uploadOf(name: string, bytes: Uint8Array, path = '/caption'): Call {
  const boundary = 'a-form-of-serve-check'
  const head =
    `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n` +
    'Content-Type: application/octet-stream\r\n\r\n'
  return {
    method: 'POST',
    path,
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  }
}

/** Whole numbers from 0 to below `n`. */
export function createDice(seed: number): (n: number) => number {
  const random = createRandom(seed)
  return (n) => Math.floor(random() * n)
}
