/** What a listening server does with requests that are malformed, too large, too slow, or from elsewhere. */
import ava, { type ExecutionContext } from 'ava'
import { createRandom } from '../../ts/random.js'
import { type ErrorReply, form, picture, rawReply, type Serving, startServing } from './serving.js'

const test = ava.serial

const TOKEN = 'correct-horse-battery'
const ORIGIN = 'https://example.org'

let open: Serving
let closed: Serving
let image: Buffer

test.before(async () => {
  image = await picture(1)
  open = await startServing({ times: { headers: 300, request: 600 }, maxQueue: 4 })
  closed = await startServing({ token: TOKEN, corsOrigins: [ORIGIN] })
})
test.after.always(() => Promise.all([open?.end(), closed?.end()]))

/** Whether it still captions, and has told nothing of its inside. */
async function stillWell(t: ExecutionContext): Promise<void> {
  const response = await fetch(`${open.url}/caption`, form([image]))
  t.is(response.status, 200)
  t.notRegex(open.log(), /"status":500|"level":"error"/)
}

async function refused(t: ExecutionContext, response: Response, status: number, code: string) {
  t.is(response.status, status)
  const text = await response.text()
  const { error, requestId } = JSON.parse(text) as ErrorReply
  t.is(error.code, code)
  t.is(response.headers.get('x-request-id'), requestId)
  t.notRegex(text, /\bat .*:\d+:\d+|node_modules|\.[jt]s\b/)
  return error.message
}

const multipart = (body: string | Buffer, boundary = '; boundary=x') =>
  fetch(`${open.url}/caption`, {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data${boundary}` },
    body: typeof body === 'string' ? body : new Uint8Array(body),
  })

const head = 'Content-Disposition: form-data; name="file"; filename="a.png"'
const malformed: [name: string, body: string, boundary?: string][] = [
  ['no boundary', `--x\r\n${head}\r\n\r\na\r\n--x--\r\n`, ''],
  ['nothing', ''],
  ['another boundary', `--y\r\n${head}\r\n\r\na\r\n--y--\r\n`],
  ['no end', `--x\r\n${head}\r\n\r\nabc`],
  ['no head', '--x\r\n\r\nabc\r\n--x--\r\n'],
  ['half a head', '--x\r\nContent-Disp\r\n\r\nabc\r\n--x--\r\n'],
  ['no name', '--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n'],
  ['only an end', '--x--\r\n'],
  ['a prototype', '--x\r\nContent-Disposition: form-data; name="__proto__"\r\n\r\n1\r\n--x--\r\n'],
  ['zero bytes', '\0'.repeat(2000)],
  ['a boundary of 5,000 letters', 'abc', `; boundary=${'x'.repeat(5000)}`],
]
for (const [name, body, boundary] of malformed)
  test(`a malformed form: ${name}`, async (t) => {
    const response = await multipart(body, boundary)
    t.is(response.status, 400)
    const { error } = (await response.json()) as ErrorReply
    t.regex(error.code, /^ERR_/)
    await stillWell(t)
  })

test('400 forms with random damage: captioned or refused, never a failure', async (t) => {
  const random = createRandom(5)
  const below = (n: number) => Math.floor(random() * n)
  const whole = Buffer.concat([
    Buffer.from('--x\r\nContent-Disposition: form-data; name="beam"\r\n\r\n2\r\n'),
    Buffer.from(`--x\r\n${head}\r\nContent-Type: image/png\r\n\r\n`),
    image,
    Buffer.from('\r\n--x--\r\n'),
  ])
  const damaged = () => {
    let bytes = Buffer.from(whole)
    for (let n = 1 + below(5); n > 0; n--) {
      // Mostly in the heads, which is where forms are read.
      const at = below(random() < 0.7 ? 200 : bytes.length)
      const way = below(4)
      if (way === 0) bytes[at] = below(256)
      else if (way === 1)
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + below(20))])
      else if (way === 2) bytes = Buffer.concat([bytes.subarray(0, at + 30), bytes.subarray(at)])
      else if (random() < 0.2) bytes = bytes.subarray(0, at)
    }
    return bytes
  }
  const counts = new Map<number, number>()
  for (let i = 0; i < 400; i++) {
    const { status } = await multipart(damaged())
    counts.set(status, (counts.get(status) ?? 0) + 1)
  }
  t.deepEqual([...counts.keys()].sort(), [200, 400, 422])
  await stillWell(t)
})

test('too much: one file, files, fields, a field, a name, a JSON body', async (t) => {
  const url = `${open.url}/caption`
  const large = await fetch(url, form([Buffer.alloc(10 * 2 ** 20 + 1)]))
  t.regex(await refused(t, large, 413, 'ERR_TOO_LARGE'), /image "0.png" has more than 10 MiB/)
  const files = await fetch(url, form(Array(17).fill(image)))
  t.regex(await refused(t, files, 413, 'ERR_TOO_LARGE'), /at most 16 files/)
  const many = form([image])
  for (let i = 0; i < 40; i++) many.body.append('beam', '3')
  t.regex(await refused(t, await fetch(url, many), 413, 'ERR_TOO_LARGE'), /at most 32 fields/)
  const long = await fetch(url, form([image], { prefix: 'a'.repeat(50_000) }))
  t.regex(await refused(t, long, 413, 'ERR_TOO_LARGE'), /"prefix" has more than 40000 bytes/)
  const name = await fetch(url, form([image], { ['a'.repeat(5000)]: '1' }))
  await refused(t, name, 400, 'ERR_ARGUMENT')
  await stillWell(t)
})

test('a name of a file comes back without folders and control characters', async (t) => {
  const body = new FormData()
  body.append('file', new Blob([new Uint8Array(image)]), '../../etc/a\u0007"<b>.png')
  const response = await fetch(`${open.url}/caption`, { method: 'POST', body })
  const { image: name } = (await response.json()) as { image: string }
  t.false(name.includes('/') || name.includes('\u0007'), name)
  t.true(name.endsWith('.png'))
})

test('what is no HTTP, headers that are too large or too slow, a body that is too slow', async (t) => {
  t.regex(await rawReply(open.port, 'HELLO\r\n\r\n'), /^HTTP\/1.1 400 [\s\S]*"ERR_BAD_REQUEST"/)
  const large = `GET / HTTP/1.1\r\nhost: a\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`
  t.regex(await rawReply(open.port, large), /^HTTP\/1.1 431 [\s\S]*"ERR_TOO_LARGE"/)
  const started = performance.now()
  const slow = 'POST /caption HTTP/1.1\r\nhost: a\r\n'
  t.regex(await rawReply(open.port, slow), /^HTTP\/1.1 408 [\s\S]*"ERR_TIMEOUT"/)
  const body = `${slow}content-type: multipart/form-data; boundary=x\r\ncontent-length: 1000\r\n\r\n--x\r\n`
  t.regex(await rawReply(open.port, body), /^HTTP\/1.1 408 /)
  t.true(performance.now() - started < 5000)
  await stillWell(t)
})

test('200 slow clients at once, and another one is answered', async (t) => {
  const slow = Array.from({ length: 200 }, () => rawReply(open.port, 'POST /caption HTTP/1.1\r\n'))
  await stillWell(t)
  for (const reply of await Promise.all(slow)) t.regex(reply, /^HTTP\/1.1 408 /)
})

test('two requests in one is none: length and chunks', async (t) => {
  const both =
    'POST /caption HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /models HTTP/1.1\r\n\r\n'
  const reply = await rawReply(open.port, both)
  t.regex(reply, /^HTTP\/1.1 400 /)
  t.notRegex(reply, /"models"/)
})

test('overload: more than may wait is refused at once, with a time to come again', async (t) => {
  const started = performance.now()
  const asked = Array.from({ length: 60 }, async () => {
    const response = await fetch(`${open.url}/caption?beam=32&min_tokens=12`, form([image]))
    const after = performance.now() - started
    return { response, after }
  })
  const replies = await Promise.all(asked)
  const full = replies.filter(({ response }) => response.status === 429)
  t.true(full.length > 0)
  t.true(replies.some(({ response }) => response.status === 200))
  t.is(replies.filter(({ response }) => ![200, 429].includes(response.status)).length, 0)
  for (const { response } of full) {
    t.true(Number(response.headers.get('retry-after')) >= 1)
    await refused(t, response, 429, 'ERR_QUEUE_FULL')
  }
  await stillWell(t)
})

test('paths and methods that there are not', async (t) => {
  const { url } = open
  for (const path of [
    '/captoin',
    '/page/../../package.json',
    '/examples/..%2f..%2fpackage.json',
    '/%2e%2e/x',
  ])
    await refused(t, await fetch(`${url}${path}`), 404, 'ERR_NOT_FOUND')
  const method = await fetch(`${url}/caption`)
  t.is(method.headers.get('allow'), 'POST')
  t.regex(await refused(t, method, 405, 'ERR_METHOD'), /takes POST, not GET/)
  const type = await fetch(`${url}/caption`, { method: 'POST', body: image.toString('latin1') })
  t.regex(await refused(t, type, 415, 'ERR_MEDIA_TYPE'), /curl -F file=@photo.jpg/)
  t.regex(
    await rawReply(
      open.port,
      'GET /../../etc/passwd HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n',
    ),
    /404/,
  )
  t.regex(
    await rawReply(open.port, 'GET /%ff%zz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'),
    /400/,
  )
  await stillWell(t)
})

test('request ids: a plain one is kept, another replaced', async (t) => {
  const id = async (given: string) => {
    const response = await fetch(`${open.url}/health`, { headers: { 'x-request-id': given } })
    return response.headers.get('x-request-id')
  }
  t.is(await id('abc-1.2_3'), 'abc-1.2_3')
  for (const other of ['a b', '<script>', 'a'.repeat(65), '$(x)'])
    t.regex((await id(other)) ?? '', /^[0-9a-f-]{36}$/)
})

test('headers: a policy without inline code, no sniffing, no caching, no CORS', async (t) => {
  const { headers } = await fetch(`${open.url}/models`, { headers: { origin: ORIGIN } })
  const policy = headers.get('content-security-policy') ?? ''
  t.regex(policy, /default-src 'none'/)
  t.regex(policy, /frame-ancestors 'none'/)
  t.notRegex(policy, /unsafe|\*|data:/)
  t.is(headers.get('x-content-type-options'), 'nosniff')
  t.is(headers.get('cache-control'), 'no-store')
  t.is(headers.get('access-control-allow-origin'), null)
  t.is(headers.get('server'), null)
  t.is(headers.get('x-powered-by'), null)
})

test('pages of other sites: only those that were named', async (t) => {
  const bearer = { authorization: `Bearer ${TOKEN}` }
  const ask = ({ url }: Serving, headers: Record<string, string>) =>
    fetch(`${url}/caption`, { ...form([image]), headers })
  const cross = { 'sec-fetch-site': 'cross-site' }
  await refused(t, await ask(open, { ...cross, origin: ORIGIN }), 403, 'ERR_FORBIDDEN')
  t.is((await ask(open, { 'sec-fetch-site': 'same-origin' })).status, 200)
  const named = await ask(closed, { ...cross, ...bearer, origin: ORIGIN })
  t.is(named.status, 200)
  t.is(named.headers.get('access-control-allow-origin'), ORIGIN)
  const other = await ask(closed, { ...cross, ...bearer, origin: 'https://evil.example' })
  t.is(other.headers.get('access-control-allow-origin'), null)
  await refused(t, other, 403, 'ERR_FORBIDDEN')
})

test('with a token: captioning, models and metrics want it, health and the page do not', async (t) => {
  const { url } = closed
  const status = async (path: string, init: RequestInit = {}, authorization?: string) => {
    const headers = authorization === undefined ? {} : { authorization }
    return await fetch(`${url}${path}`, { ...init, headers })
  }
  for (const path of ['/health', '/ready', '/docs', '/openapi.json', '/'])
    t.is((await status(path)).status, 200, path)
  for (const wrong of [
    undefined,
    `Bearer ${TOKEN}x`,
    `Basic ${TOKEN}`,
    TOKEN,
    'Bearer ',
    'Bearer',
  ]) {
    for (const path of ['/models', '/metrics', '/info']) {
      const response = await status(path, {}, wrong)
      t.is(response.headers.get('www-authenticate'), 'Bearer')
      await refused(t, response, 401, 'ERR_UNAUTHORIZED')
    }
    for (const path of ['/caption', '/classify', '/predict', '/models/words/reload'])
      await refused(t, await status(path, form([image]), wrong), 401, 'ERR_UNAUTHORIZED')
  }
  t.is((await status('/caption', form([image]), `bearer ${TOKEN}`)).status, 200)
  t.is((await status('/models', {}, `Bearer ${TOKEN}`)).status, 200)
  t.false(closed.log().includes(TOKEN))
})

test('the log: method, path, status; no header, no query, no body', async (t) => {
  const headers = { authorization: 'Bearer secret-of-mine', cookie: 'a=cookie-of-mine' }
  await fetch(`${open.url}/caption?prefix=word1%20query-of-mine`, { ...form([image]), headers })
  t.regex(open.log(), /"method":"POST","path":"\/caption","status":400/)
  t.notRegex(open.log(), /of-mine/)
  for (const line of open.log().trim().split('\n')) t.notThrows(() => JSON.parse(line))
})
