/** What operators see of a listening server: health, metrics, models, documents, and how it shuts down. */
import ava from 'ava'
import { type ErrorReply, form, picture, type Serving, startServing } from './serving.js'

const test = ava.serial

const TOKEN = 'correct-horse-battery'
const headers = { authorization: `Bearer ${TOKEN}` }

let serving: Serving
let image: Buffer

test.before(async () => {
  image = await picture(1)
  serving = await startServing({ token: TOKEN })
})
test.after.always(() => serving?.end())

const get = (path: string) => fetch(`${serving.url}${path}`, { headers })
const caption = (query = '') =>
  fetch(`${serving.url}/caption${query}`, { ...form([image]), headers })

test('health and readiness', async (t) => {
  t.deepEqual(await (await get('/health')).json(), { status: 'ok' })
  const ready = await get('/ready')
  t.is(ready.status, 200)
  t.deepEqual(await ready.json(), { status: 'ready' })
})

test('models, without their folders', async (t) => {
  const { models } = (await (await get('/models')).json()) as { models: object[] }
  t.is(models.length, 1)
  t.like(models[0], { id: 'words', device: 'cpu', image: { size: 32, resize: 'squash' } })
  t.false(JSON.stringify(models).includes(serving.folder))
})

test('a model is loaded again while captions go on', async (t) => {
  const before = serving.service.models()[0]?.loadedAt ?? ''
  const asked = Array.from({ length: 20 }, () => caption())
  const reload = await fetch(`${serving.url}/models/words/reload`, { method: 'POST', headers })
  t.is(reload.status, 200)
  const { loadedAt } = (await reload.json()) as { loadedAt: string }
  t.true(loadedAt > before)
  for (const response of await Promise.all(asked)) t.is(response.status, 200)
  const unknown = await fetch(`${serving.url}/models/word/reload`, { method: 'POST', headers })
  t.is(unknown.status, 404)
  t.regex(((await unknown.json()) as ErrorReply).error.message, /did you mean "words"\?/)
})

test('without a token of its own a server does not reload over HTTP', async (t) => {
  const open = await startServing()
  const reload = await fetch(`${open.url}/models/words/reload`, { method: 'POST' })
  t.is(reload.status, 403)
  await open.end()
})

test('metrics: requests by route, batches, models, the event loop', async (t) => {
  const value = async (line: RegExp) =>
    Number(line.exec(await (await get('/metrics')).text())?.[1] ?? Number.NaN)
  const captions = /^captioneer_captions_total\{model="words"\} (\d+)$/m
  const requests =
    /^captioneer_http_requests_total\{method="POST",route="\/caption",status="200"\} (\d+)$/m
  const [before, asked] = [await value(captions), await value(requests)]
  await Promise.all(Array.from({ length: 5 }, () => caption()))
  t.is(await value(captions), before + 5)
  t.is(await value(requests), asked + 5)
  await get('/no/such/path/of/mine')
  const response = await get('/metrics')
  t.regex(response.headers.get('content-type') ?? '', /^text\/plain/)
  const text = await response.text()
  for (const name of [
    'captioneer_queue_length 0',
    'captioneer_running 0',
    'captioneer_ready 1',
    'captioneer_batch_size_bucket{le="1",model="words"}',
    'captioneer_batch_duration_seconds_count{model="words"}',
    'captioneer_wait_duration_seconds_count{model="words"}',
    'captioneer_http_request_duration_seconds_count{route="/caption"}',
    'captioneer_model_info{model="words",device="cpu",image_size="32"',
    'captioneer_http_requests_total{method="GET",route="unknown",status="404"}',
    'nodejs_eventloop_lag_p99_seconds',
    'process_resident_memory_bytes',
  ])
    t.true(text.includes(name), name)
  t.notRegex(text, /of\/mine/)
})

interface Operation {
  readonly summary?: string
  readonly responses: Readonly<Record<string, object>>
}

test('the OpenAPI document has every route, and /docs tells them', async (t) => {
  const response = await get('/openapi.json')
  const { openapi, paths, components } = (await response.json()) as {
    openapi: string
    paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
    components: object
  }
  t.regex(openapi, /^3\./)
  t.like(components, { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } })
  const names = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  t.deepEqual(names.sort(), [
    'GET /health',
    'GET /info',
    'GET /metrics',
    'GET /models',
    'GET /ready',
    'POST /caption',
    'POST /classify',
    'POST /models/{id}/reload',
    'POST /predict',
  ])
  for (const methods of Object.values(paths))
    for (const { summary, responses } of Object.values(methods)) {
      t.truthy(summary)
      t.true('200' in responses)
    }
  const docs = await (await get('/docs')).text()
  for (const name of names) t.true(docs.includes(`<h2>${name}</h2>`), name)
  t.notRegex(docs, /<script|style="|javascript:/)
  t.is((await get('/docs/style.css')).status, 200)
})

test('a reply has the keys that the document tells', async (t) => {
  type Shape = { readonly properties: Readonly<Record<string, object>> }
  const { paths } = (await (await get('/openapi.json')).json()) as {
    paths: Record<
      string,
      { post: { responses: Record<string, { content: Record<string, { schema: Shape }> }> } }
    >
  }
  const told = paths['/caption']?.post.responses['200']?.content['application/json']?.schema
  const response = await caption('?num_captions=2&attention=true')
  t.deepEqual(
    Object.keys(told?.properties ?? {}).sort(),
    Object.keys((await response.json()) as object).sort(),
  )
})

test('the page has its own address, and is not sent again', async (t) => {
  const page = await fetch(`${serving.url}/`)
  t.regex(page.headers.get('content-type') ?? '', /^text\/html/)
  const etag = page.headers.get('etag') ?? ''
  const again = await fetch(`${serving.url}/`, { headers: { 'if-none-match': etag } })
  t.is(again.status, 304)
  t.is(await again.text(), '')
})

test('shutting down: not ready at once, what was accepted is answered, all else is 503', async (t) => {
  const other = await startServing()
  const asked = Array.from({ length: 12 }, () =>
    fetch(`${other.url}/caption?beam=32&min_tokens=12`, form([image])),
  )
  // Those that are captioned already count: where they are quick, 12 never wait at the same time.
  const accepted = ({ queued, running, images } = other.service.facts()) =>
    queued + running + images
  while (accepted() < 12) await new Promise((next) => setTimeout(next, 1))
  const closed = other.service.close()
  const ready = await fetch(`${other.url}/ready`)
  t.is(ready.status, 503)
  t.deepEqual(await ready.json(), { status: 'not ready' })
  t.is((await fetch(`${other.url}/health`)).status, 200)
  const late = await fetch(`${other.url}/caption`, form([image]))
  t.is(late.status, 503)
  t.truthy(late.headers.get('retry-after'))
  t.is(late.headers.get('connection'), 'close')
  t.like(((await late.json()) as ErrorReply).error, { code: 'ERR_UNAVAILABLE' })
  for (const response of await Promise.all(asked)) t.is(response.status, 200)
  await closed
  await other.end()
})
