/** MLflow's REST calls, against an HTTP server of our own that speaks those that are documented, and may be down. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import test, { type ExecutionContext } from 'ava'
import { mlflowTracker } from '../../../ts/train/trackers/mlflow.js'
import { rememberedNames } from '../../../ts/train/trackers/remembered.js'
import { temporaryFolder } from '../../files/temporary-folder.js'
import { environment, sampleImage, stepRow, trackedRun, validationRow } from './rows.js'

interface Stored {
  readonly experiments: string[]
  readonly params: { key: string; value: string }[]
  readonly metrics: { key: string; value: number; step: number; timestamp: number }[]
  readonly updates: { run_id: string; status: string }[]
  readonly files: Map<string, string>
  readonly authorizations: Set<string | undefined>
  runs: number
  down: boolean
}

/** A tracking server on this machine until the test ends; its address is in the environment. */
async function trackingServer(t: ExecutionContext): Promise<Stored> {
  const stored: Stored = {
    experiments: [],
    params: [],
    metrics: [],
    updates: [],
    files: new Map(),
    authorizations: new Set(),
    runs: 0,
    down: false,
  }
  const info = (id: string) => ({
    run: { info: { run_id: id, artifact_uri: `mlflow-artifacts:/7/${id}/artifacts` }, data: {} },
  })
  const answer = (call: string, query: URLSearchParams, body: Buffer): [number, object] => {
    const json = () => JSON.parse(body.toString())
    if (call === 'GET mlflow/experiments/get-by-name') {
      const known = stored.experiments.includes(query.get('experiment_name') ?? '')
      return known
        ? [200, { experiment: { experiment_id: '7' } }]
        : [404, { error_code: 'RESOURCE_DOES_NOT_EXIST' }]
    }
    if (call === 'POST mlflow/experiments/create') {
      stored.experiments.push(json().name)
      return [200, { experiment_id: '7' }]
    }
    if (call === 'POST mlflow/runs/create' && json().experiment_id === '7')
      return [200, info(`run${++stored.runs}`)]
    if (call === 'GET mlflow/runs/get') return [200, info(query.get('run_id') ?? '')]
    if (call === 'POST mlflow/runs/log-batch') {
      const { run_id, metrics = [], params = [] } = json()
      const fits = metrics.length <= 1000 && params.length <= 100 && /^run\d$/.test(run_id)
      if (!fits) return [400, { error_code: 'INVALID_PARAMETER_VALUE' }]
      stored.metrics.push(...metrics)
      stored.params.push(...params)
      return [200, {}]
    }
    if (call === 'POST mlflow/runs/update') {
      stored.updates.push(json())
      return [200, {}]
    }
    const [, file] = /^PUT mlflow-artifacts\/artifacts\/(.+)$/.exec(call) ?? []
    if (file === undefined) return [404, { error_code: 'ENDPOINT_NOT_FOUND' }]
    stored.files.set(decodeURIComponent(file), body.toString('latin1'))
    return [200, {}]
  }
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '', 'http://localhost')
    const body = await buffer(request)
    stored.authorizations.add(request.headers.authorization)
    const call = `${request.method} ${url.pathname.replace('/api/2.0/', '')}`
    const [status, text] = stored.down ? [503, {}] : answer(call, url.searchParams, body)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(text))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  environment(t, {
    MLFLOW_TRACKING_URI: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    MLFLOW_EXPERIMENT_NAME: 'our captions',
    MLFLOW_TRACKING_TOKEN: undefined,
    MLFLOW_TRACKING_USERNAME: 'me',
    MLFLOW_TRACKING_PASSWORD: 'secret',
  })
  return stored
}

test.serial('settings, metrics, pictures and the end reach the server', async (t) => {
  const folder = await temporaryFolder(t)
  const stored = await trackingServer(t)
  const tracked = trackedRun(folder)
  const tracker = await mlflowTracker(tracked)
  for (let step = 1; step <= 400; step++) tracker.log(stepRow(step))
  tracker.log(validationRow(400))
  await tracker.text?.('config', 'preset: tiny\n')
  await tracker.image?.(await sampleImage(400))
  await tracker.close('finished')
  t.deepEqual(tracked.failures, [])
  t.deepEqual(stored.experiments, ['our captions'])
  t.deepEqual(stored.params, [
    { key: 'preset', value: 'tiny' },
    { key: 'optimizer.learningRate', value: '0.001' },
    { key: 'trackers', value: 'a, b' },
  ])
  const losses = stored.metrics.filter(({ key }) => key === 'train/loss')
  t.deepEqual(
    losses.map(({ step, value }) => [step, value]),
    Array.from({ length: 400 }, (_, i) => [i + 1, 5 / (i + 1)]),
  )
  t.is(stored.metrics.find(({ key }) => key === 'validation/cider')?.value, 0.75)
  t.like(stored.updates, [{ run_id: 'run1', status: 'FINISHED' }])
  t.deepEqual([...stored.files.keys()].sort(), [
    '7/run1/artifacts/config.txt',
    '7/run1/artifacts/samples/dogs_one.jpg-400.json',
    '7/run1/artifacts/samples/dogs_one.jpg.png',
  ])
  t.is(stored.files.get('7/run1/artifacts/samples/dogs_one.jpg.png')?.slice(1, 4), 'PNG')
  t.deepEqual([...stored.authorizations], [`Basic ${btoa('me:secret')}`])

  const resumed = await mlflowTracker(trackedRun(folder, 400))
  resumed.log(stepRow(401))
  await resumed.close('interrupted')
  t.is(stored.runs, 1, 'a resumed run goes on as the same')
  t.like(stored.updates.at(-1), { run_id: 'run1', status: 'KILLED' })
  t.is(stored.metrics.findLast(({ key }) => key === 'train/loss')?.step, 401)
})

test.serial('what is logged while the server is down is sent when it is back', async (t) => {
  const folder = await temporaryFolder(t)
  const stored = await trackingServer(t)
  stored.down = true
  const tracked = trackedRun(folder)
  const tracker = await mlflowTracker(tracked)
  tracker.log(stepRow(1))
  const limit = performance.now() + 5000
  while (tracked.failures.length === 0 && performance.now() < limit)
    await new Promise((resolve) => setTimeout(resolve, 10))
  t.regex(tracked.failures[0] ?? '', /answered 503.*sent again later/)
  stored.down = false
  tracker.log(stepRow(2))
  await tracker.close('failed')
  t.deepEqual(
    stored.metrics.filter(({ key }) => key === 'train/loss').map(({ step }) => step),
    [1, 2],
  )
  t.like(stored.updates, [{ status: 'FAILED' }])
  t.deepEqual(await rememberedNames(folder), { mlflow: 'run1' })
})

test.serial('without a server one is told what to do', async (t) => {
  const folder = await temporaryFolder(t)
  environment(t, { MLFLOW_TRACKING_URI: undefined })
  await t.throwsAsync(mlflowTracker(trackedRun(folder)), {
    message: /MLFLOW_TRACKING_URI.*received nothing\. Start one with "mlflow server"/,
  })
  process.env.MLFLOW_TRACKING_URI = 'http://127.0.0.1:9'
  const tracked = trackedRun(folder)
  const tracker = await mlflowTracker(tracked)
  tracker.log(stepRow(1))
  await tracker.close('finished')
  t.regex(tracked.failures[0] ?? '', /http:\/\/127\.0\.0\.1:9 cannot be reached/)
})
