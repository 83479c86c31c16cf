/**
 * MLflow, through the REST API of its tracking server. Pictures and texts are kept where the server takes files itself
 * (mlflow-artifacts, its default).
 * Source: https://mlflow.org/docs/latest/rest-api.html
 */
import { basename } from 'node:path'
import { flatSettings } from './flat-settings.js'
import { rememberedNames, rememberName } from './remembered.js'
import { metricsOf, type Outcome, type TrackedRun, type Tracker } from './tracker.js'

/** Between two deliveries, ms; after failures in a row up to the longer one. */
const EVERY = 3000
const EVERY_AT_MOST = 60_000
/** Longest wait for an answer, ms. */
const TIMEOUT = 10_000
/** Metrics and parameters that the server takes at once, and metrics kept while it cannot be reached. */
const BATCH = 1000
const PARAMETERS = 100
const KEPT = 100_000
const MAX_PARAMETER = 500
const statuses: Readonly<Record<Outcome, string>> = {
  finished: 'FINISHED',
  interrupted: 'KILLED',
  failed: 'FAILED',
}

interface Metric {
  readonly key: string
  readonly value: number
  readonly timestamp: number
  readonly step: number
}

interface Place {
  readonly runId: string
  /** Address of the run's files; absent where the server takes none. */
  readonly files: string | undefined
}

/**
 * Logs to the server of MLFLOW_TRACKING_URI, in the experiment MLFLOW_EXPERIMENT_NAME ('captioneer' when unset).
 * MLFLOW_TRACKING_TOKEN, or ..._USERNAME and ..._PASSWORD, say who we are. While it cannot be reached rows are kept.
 */
export async function mlflowTracker(run: TrackedRun): Promise<Tracker> {
  const { fail } = run
  const server = process.env.MLFLOW_TRACKING_URI?.replace(/\/+$/, '')
  if (server === undefined || !/^https?:\/\//.test(server))
    throw new Error(
      `expected MLFLOW_TRACKING_URI to be the http address of a tracking server, received ${server ?? 'nothing'}. ` +
        'Start one with "mlflow server" and set MLFLOW_TRACKING_URI=http://127.0.0.1:5000',
    )
  let place: Place | undefined
  let metrics: Metric[] = []
  const uploads: { name: string; type: string; bytes: Uint8Array | string }[] = []
  const pictured = new Set<string>()

  const deliver = async () => {
    place ??= await openRun(server, run)
    while (metrics.length > 0) {
      const part = metrics.slice(0, BATCH)
      await post(server, 'runs/log-batch', { run_id: place.runId, metrics: part })
      metrics = metrics.slice(part.length)
    }
    for (let next = uploads[0]; next; next = uploads[0]) {
      if (place.files !== undefined) {
        await request(`${place.files}/${next.name}`, 'PUT', next.bytes, next.type)
      }
      uploads.shift()
    }
  }
  let delivery: Promise<void> | undefined
  let nextAt = 0
  let pause = EVERY
  const attempt = async () => {
    try {
      await deliver()
      pause = EVERY
    } catch (error) {
      fail(`${(error as Error).message}. What is logged is kept and sent again later`)
      metrics = metrics.slice(-KEPT)
      pause = Math.min(2 * pause, EVERY_AT_MOST)
    }
    nextAt = performance.now() + pause
    delivery = undefined
  }
  const soon = () => {
    if (performance.now() >= nextAt) delivery ??= attempt()
  }

  soon()
  return {
    name: 'MLflow',
    log: (row) => {
      const timestamp = Date.now()
      for (const [key, value] of Object.entries(metricsOf(row)))
        metrics.push({ key, value, timestamp, step: row.step })
      soon()
    },
    text: (name, text) => {
      uploads.push({ name: `${encodeURIComponent(name)}.txt`, type: 'text/plain', bytes: text })
    },
    image: ({ step, name, png, caption, references }) => {
      const path = `samples/${encodeURIComponent(name.replaceAll('/', '_'))}`
      if (!pictured.has(name)) uploads.push({ name: `${path}.png`, type: 'image/png', bytes: png })
      pictured.add(name)
      const text = JSON.stringify({ step, caption, references }, null, 2)
      uploads.push({ name: `${path}-${step}.json`, type: 'application/json', bytes: text })
      soon()
    },
    close: async (outcome) => {
      await delivery
      await attempt()
      if (!place) return
      const end = { run_id: place.runId, status: statuses[outcome], end_time: Date.now() }
      await post(server, 'runs/update', end).catch((error: Error) => fail(error.message))
    },
  }
}

/** The run on the server: that of an earlier part of a resumed run, or a new one with the settings as parameters. */
async function openRun(server: string, run: TrackedRun): Promise<Place> {
  const { folder, config, startStep } = run
  const earlier = startStep > 0 ? (await rememberedNames(folder)).mlflow : undefined
  if (earlier !== undefined) {
    const update = { run_id: earlier, status: 'RUNNING' }
    await post(server, 'runs/update', update)
    const { run: found } = await request(
      `${server}/api/2.0/mlflow/runs/get?run_id=${encodeURIComponent(earlier)}`,
      'GET',
    )
    return { runId: earlier, files: filesOf(server, found?.info?.artifact_uri) }
  }
  const name = process.env.MLFLOW_EXPERIMENT_NAME ?? 'captioneer'
  const { run: created } = await post(server, 'runs/create', {
    experiment_id: await experimentOf(server, name),
    run_name: basename(folder),
    start_time: Date.now(),
  })
  const runId = created?.info?.run_id
  if (runId === undefined) throw new Error(`MLflow at ${server} gave no run_id for a new run`)
  await rememberName(folder, 'mlflow', runId)
  const params = flatSettings(config).map(([key, value]) => ({
    key,
    value: value.slice(0, MAX_PARAMETER),
  }))
  for (let at = 0; at < params.length; at += PARAMETERS) {
    const part = params.slice(at, at + PARAMETERS)
    await post(server, 'runs/log-batch', { run_id: runId, params: part })
  }
  return { runId, files: filesOf(server, created?.info?.artifact_uri) }
}

async function experimentOf(server: string, name: string): Promise<string> {
  const address = `${server}/api/2.0/mlflow/experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`
  const known = await request(address, 'GET').catch((error: unknown) => {
    if (error instanceof Refused && error.status === 404) return undefined
    throw error
  })
  const { experiment_id: id } =
    known?.experiment ?? (await post(server, 'experiments/create', { name }))
  if (id === undefined) throw new Error(`MLflow at ${server} gave no id for experiment "${name}"`)
  return id
}

/** Where the server itself takes a run's files: `mlflow-artifacts:/0/<run>/artifacts`. */
function filesOf(server: string, uri: string | undefined): string | undefined {
  const path = /^mlflow-artifacts:(?:\/\/[^/]*)?\/(.*)$/.exec(uri ?? '')?.[1]
  return path === undefined ? undefined : `${server}/api/2.0/mlflow-artifacts/artifacts/${path}`
}

/** The parts of answers that we read. */
interface Answer {
  readonly experiment?: { readonly experiment_id?: string }
  readonly experiment_id?: string
  readonly run?: { readonly info?: { readonly run_id?: string; readonly artifact_uri?: string } }
}

class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

function post(server: string, call: string, body: object): Promise<Answer> {
  const text = JSON.stringify(body)
  return request(`${server}/api/2.0/mlflow/${call}`, 'POST', text, 'application/json')
}

async function request(
  address: string,
  method: string,
  body?: Uint8Array | string,
  type?: string,
): Promise<Answer> {
  const response = await fetch(address, {
    method,
    headers: { ...authorization(), ...(type !== undefined && { 'content-type': type }) },
    ...(body !== undefined && { body }),
    signal: AbortSignal.timeout(TIMEOUT),
  }).catch((error: Error) => {
    const cause = error.cause instanceof Error ? error.cause.message : error.message
    throw new Error(`${new URL(address).origin} cannot be reached (${cause})`)
  })
  const text = await response.text()
  if (!response.ok)
    throw new Refused(
      response.status,
      `${method} ${address.replace(/\?.*/, '')} was answered ${response.status}: ${text.slice(0, 200)}`,
    )
  return text.startsWith('{') ? JSON.parse(text) : {}
}

function authorization(): Record<string, string> {
  const { MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD } = process.env
  if (MLFLOW_TRACKING_TOKEN) return { authorization: `Bearer ${MLFLOW_TRACKING_TOKEN}` }
  if (!MLFLOW_TRACKING_USERNAME) return {}
  const pair = `${MLFLOW_TRACKING_USERNAME}:${MLFLOW_TRACKING_PASSWORD ?? ''}`
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
}
