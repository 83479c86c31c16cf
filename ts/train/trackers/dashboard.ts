/**
 * The live page of a run: a small HTTP server on this machine alone, which sends charts and sample captions as they come
 * (server-sent events). What the page looks like and runs is in dashboard-page.ts; no data of the page is trusted by it.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { readJsonLines } from '../../files/json-lines.js'
import { chartsOf } from '../../report/curves.js'
import type { StepProgress } from '../events.js'
import { dashboardFiles, type PageFile } from './dashboard-page.js'
import type { TrackedImage, TrackedRun, Tracker } from './tracker.js'

const HOST = '127.0.0.1'
/** Between two events to the browsers, ms. */
const EVERY = 500
/** Rows kept for the curves; when there are more, every other step's is dropped. */
const MOST_ROWS = 4000
/** Longest wait of the end of a run for browsers to take the last event, ms. */
const LAST_EVENT = 500

/** What the page shows beside curves. */
interface Status {
  readonly name: string
  readonly progress: StepProgress | undefined
  /** Of the run that is over, 0-1; a time limit may end it long before its last step. */
  readonly share: number
  readonly samples: readonly (Omit<TrackedImage, 'png'> & { readonly picture: string })[]
  readonly outcome: string | undefined
}

type Row = Readonly<Record<string, unknown>>

/**
 * Serves the page on `port`, 0 for a free one.
 * @param message is told the address
 * @throws Error when the port cannot be had, with what to do
 */
export async function dashboardTracker(
  { folder, startStep }: TrackedRun,
  port: number,
  message: (text: string) => void,
): Promise<Tracker> {
  let rows: Row[] = startStep > 0 ? await readJsonLines(join(folder, 'history.jsonl')) : []
  let progress: StepProgress | undefined
  let outcome: string | undefined
  const opened = performance.now()
  const samples = new Map<string, TrackedImage>()
  const browsers = new Set<ServerResponse>()

  const status = (): Status => ({
    name: basename(folder),
    progress,
    share: progress ? shareOf(progress, (performance.now() - opened) / 1000) : 0,
    samples: [...samples.values()].map(({ png, ...sample }, i) => ({
      ...sample,
      picture: `pictures/${i}.png`,
    })),
    outcome,
  })
  const event = () => `data: ${JSON.stringify({ charts: chartsOf(rows), ...status() })}\n\n`
  let waiting: NodeJS.Timeout | undefined
  const tell = () => {
    waiting = undefined
    const text = event()
    // A browser that does not read gets the next event, not a queue of them.
    for (const browser of browsers) if (!browser.writableNeedDrain) browser.write(text)
  }
  const changed = () => {
    if (browsers.size > 0) waiting ??= setTimeout(tell, EVERY)
  }

  const files = await dashboardFiles()
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    // Not new URL(): it throws for "//", and whoever can reach the port would end the run with it.
    const [path = '/'] = (request.url ?? '/').split('?', 1)
    const refusal = refusalOf(request)
    if (refusal) return send(response, refusal[0], { type: 'text/plain', body: refusal[1] })
    if (path === '/events') {
      response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' })
      response.write(event())
      browsers.add(response)
      response.on('close', () => browsers.delete(response))
      return
    }
    const picture = [...samples.values()][Number(/^\/pictures\/(\d+)\.png$/.exec(path)?.[1])]
    const file = picture ? { type: 'image/png', body: picture.png } : files.get(path)
    if (file) send(response, 200, file)
    else send(response, 404, { type: 'text/plain', body: 'There is no such page.\n' })
  }
  const server = createServer(answer)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(portError(error, port)))
    server.listen(port, HOST, resolve)
  })
  // An idle page must not keep the process.
  server.unref()
  message(`live page: http://${HOST}:${(server.address() as AddressInfo).port}/`)

  return {
    name: 'dashboard',
    log: (row) => {
      if (row.kind === 'step') progress = row
      rows.push({ ...row })
      if (rows.length > MOST_ROWS) rows = halved(rows)
      changed()
    },
    image: (image) => {
      samples.set(image.name, image)
      changed()
    },
    close: async (end) => {
      outcome = end
      clearTimeout(waiting)
      tell()
      for (const browser of browsers) browser.end()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const timer = setTimeout(() => server.closeAllConnections(), LAST_EVENT)
      server.closeIdleConnections()
      await closed
      clearTimeout(timer)
    },
  }
}

function shareOf({ step, steps, secondsLeft }: StepProgress, elapsed: number): number {
  return Math.max(step / steps, elapsed / (elapsed + secondsLeft + 1e-9))
}

const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
} as const

function send(response: ServerResponse, status: number, { type, body }: PageFile): void {
  response.writeHead(status, { ...headers, 'content-type': type })
  response.end(body)
}

/** Only for looking, and only under this machine's own names: a page elsewhere that names itself so gets nothing. */
function refusalOf({
  method,
  headers: { host = '' },
}: IncomingMessage): [number, string] | undefined {
  if (method !== 'GET' && method !== 'HEAD') return [405, 'This page can only be read.\n']
  if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/i.test(host))
    return [403, `Open this page as http://${HOST}, with its port.\n`]
  return undefined
}

/** Every validation, and every other step. */
function halved(rows: readonly Row[]): Row[] {
  let steps = 0
  return rows.filter(({ kind }) => kind !== 'step' || steps++ % 2 === 0)
}

function portError({ code, message }: NodeJS.ErrnoException, port: number): Error {
  const reason =
    code === 'EADDRINUSE'
      ? 'is used by another program'
      : code === 'EACCES'
        ? 'is not for this user'
        : `cannot be had (${message})`
  return new Error(`port ${port} ${reason}; the run has no live page. Choose another port`)
}
