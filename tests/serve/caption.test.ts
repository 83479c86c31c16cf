/** POST /caption of a listening server: replies are those of the same model offline, whatever way they are asked for. */
import ava from 'ava'
import { type Caption, type Captioner, loadCaptioner } from '../../ts/captioner.js'
import type { CaptionOptions } from '../../ts/decoding/options.js'
import { type ErrorReply, form, picture, type Serving, startServing } from './serving.js'

const test = ava.serial

let serving: Serving
let offline: Captioner
const pictures: Buffer[] = []

test.before(async () => {
  serving = await startServing()
  offline = await loadCaptioner(serving.folder, { device: 'cpu' })
  for (let i = 0; i < 6; i++) pictures.push(await picture(i))
})
test.after.always(async () => {
  offline?.close()
  await serving?.end()
})

/** A picture by its number, and its caption offline. */
const image = (i: number) => pictures[i] as Buffer
const expected = (i: number, options: CaptionOptions = {}) => offline.caption(image(i), options)

interface Reply {
  readonly caption: string
  readonly score: number
  readonly attention?: Attention
  readonly captions?: readonly { readonly caption: string; readonly attention?: Attention }[]
}

interface Attention {
  readonly width: number
  readonly height: number
  readonly words: readonly { readonly word: string; readonly weights: readonly number[] }[]
}

async function ask(
  images: readonly Uint8Array[],
  fields: Readonly<Record<string, string>> = {},
  query = '',
): Promise<{ status: number; reply: unknown }> {
  const response = await fetch(`${serving.url}/caption${query}`, form(images, fields))
  return { status: response.status, reply: await response.json() }
}

const replyOf = (name: string, { text, score, tokens }: Caption) => ({
  image: name,
  caption: text,
  score,
  tokens,
  model: 'words',
})

test("one image: the caption, with S2's and S3's keys", async (t) => {
  const found = await expected(0)
  const { status, reply } = await ask([image(0)])
  t.is(status, 200)
  t.deepEqual(reply, { ...replyOf('0.png', found), file: '0.png', predicted: found.text })
  const s3 = await fetch(`${serving.url}/classify`, form([image(0)]))
  t.deepEqual(await s3.json(), reply)
})

test('options as fields, as query, and both', async (t) => {
  const found = await expected(1, { beam: 4, numCaptions: 3, maxTokens: 6, prefix: 'word1' })
  const fields = { beam: '4', num_captions: '3', max_tokens: '6', prefix: 'word1' }
  const { reply: asFields } = await ask([image(1)], fields)
  const { reply: asQuery } = await ask([image(1)], {}, `?${new URLSearchParams(fields)}`)
  const { reply: asBoth } = await ask(
    [image(1)],
    { beam: '4', prefix: 'word1' },
    '?numCaptions=3&max_tokens=6&model=words',
  )
  const captions = found.captions?.map(({ text, score }) => ({ caption: text, score }))
  t.like(asFields, { ...replyOf('0.png', found), captions })
  t.deepEqual(asQuery, asFields)
  t.deepEqual(asBoth, asFields)
})

test('sampling: the same seed, the same caption', async (t) => {
  const options = { temperature: 1.5, topK: 20, seed: 11 }
  const found = await expected(2, options)
  const { reply } = await ask([image(2)], { temperature: '1.5', top_k: '20', seed: '11' })
  t.like(reply, { caption: found.text, score: found.score })
  const { reply: other } = await ask([image(2)], { temperature: '1.5', top_k: '20', seed: '12' })
  t.not((other as Reply).caption, found.text)
})

test('attention: a map for each token, of shares', async (t) => {
  const found = await expected(3, { attention: true, numCaptions: 2 })
  const { reply } = await ask([image(3)], { attention: 'true', num_captions: '2' })
  const { attention, captions } = reply as Reply
  t.is(attention?.width, found.attention?.side)
  t.is(attention?.height, found.attention?.side)
  t.deepEqual(
    attention?.words.map(({ word }) => word),
    [...(found.attention?.words ?? [])],
  )
  const cells = (attention?.width ?? 0) ** 2
  for (const { weights } of attention?.words ?? []) {
    t.is(weights.length, cells)
    t.true(Math.abs(weights.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-3)
  }
  t.is(captions?.filter((caption) => caption.attention?.words.length).length, 2)
})

test('several files: their captions in order, and what is wrong with one', async (t) => {
  const { status, reply } = await ask([image(0), Buffer.from('hello'), image(4)], { beam: '2' })
  t.is(status, 200)
  const { results } = reply as { results: (Reply & ErrorReply)[] }
  t.deepEqual(results[0] as object, replyOf('0.png', await expected(0, { beam: 2 })))
  t.deepEqual(results[2] as object, replyOf('2.png', await expected(4, { beam: 2 })))
  t.is(results[1]?.error.code, 'ERR_IMAGE')
  t.regex(results[1]?.error.message ?? '', /not a/)
})

test('many clients at once: each gets its own', async (t) => {
  const captions = await Promise.all(pictures.map((_, i) => expected(i, { beam: 2 })))
  t.is(new Set(captions.map(({ score }) => score)).size, pictures.length)
  t.true(new Set(captions.map(({ text }) => text)).size > 1)
  const asked = Array.from({ length: 48 }, (_, n) => n % pictures.length)
  const replies = await Promise.all(asked.map((i) => ask([image(i)], { beam: '2' })))
  for (const [n, { status, reply }] of replies.entries()) {
    t.is(status, 200)
    t.like(reply, { caption: captions[asked[n] ?? 0]?.text, score: captions[asked[n] ?? 0]?.score })
  }
})

async function eventsOf(response: Response): Promise<[event: string, data: unknown][]> {
  const events = (await response.text()).split('\n\n').filter((text) => text.startsWith('event'))
  return events.map((text) => {
    const [, event = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(text) ?? []
    return [event, JSON.parse(data)]
  })
}

test('a stream: token by token, then the reply', async (t) => {
  const { reply } = await ask([image(5)], { beam: '1' })
  const ways: [query: string, headers: Record<string, string>][] = [
    ['?stream=true', {}],
    ['', { accept: 'text/event-stream' }],
  ]
  for (const [query, headers] of ways) {
    const request = { ...form([image(5)], { beam: '1' }), headers }
    const response = await fetch(`${serving.url}/caption${query}`, request)
    t.is(response.headers.get('content-type'), 'text/event-stream')
    const events = await eventsOf(response)
    const [last, data] = events.pop() ?? []
    t.is(last, 'caption')
    t.deepEqual(data, reply)
    const texts = events.map(([event, data]) => {
      t.is(event, 'token')
      return (data as { text: string }).text
    })
    t.true(texts.length > 1)
    for (const text of texts) t.true((reply as Reply).caption.startsWith(text))
  }
})

test('a stream that fails before its first word has a status', async (t) => {
  const bad = await fetch(`${serving.url}/caption?stream=1`, form([Buffer.from('hello')]))
  t.is(bad.status, 422)
  const many = await fetch(`${serving.url}/caption?stream=1`, form([image(0), image(1)]))
  t.is(many.status, 400)
  t.regex(((await many.json()) as ErrorReply).error.message, /a stream is of one image, received 2/)
})

test('clients that go away free their places', async (t) => {
  const left = Array.from({ length: 12 }, async (_, i) => {
    const controller = new AbortController()
    const query = i % 2 === 0 ? '?stream=true' : ''
    const fields = { beam: '64', min_tokens: '12' }
    const request = { ...form([image(i % 6)], fields), signal: controller.signal }
    setTimeout(() => controller.abort(), 1 + 3 * i)
    return await fetch(`${serving.url}/caption${query}`, request).then(
      (response) => response.text().catch(() => ''),
      () => '',
    )
  })
  await Promise.all(left)
  const { status } = await ask([image(0)])
  t.is(status, 200)
  const { queued, running } = serving.service.facts()
  t.is(queued + running, 0)
  t.regex(serving.log(), /"status":499/)
  t.notRegex(serving.log(), /"level":"error"/)
})

const wrong: [name: string, fields: Record<string, string>, status: number, message: RegExp][] = [
  ['unknown option', { beem: '3' }, 400, /did you mean "beam"/],
  ['out of range', { beam: '99' }, 400, /expected beam to be an integer from 1 to 64/],
  ['longer than the model', { max_tokens: '500' }, 400, /expected maxTokens to be an integer/],
  ['options that do not go together', { beam: '3', top_k: '5' }, 400, /draw random ones/],
  ['a prefix of unknown words', { prefix: 'zebra' }, 400, /"zebra" is not in its vocabulary/],
  ['unknown model', { model: 'wordz' }, 404, /no model "wordz"; did you mean "words"\?/],
]
for (const [name, fields, status, message] of wrong)
  test(`refused: ${name}`, async (t) => {
    const { status: got, reply } = await ask([image(0)], fields)
    t.is(got, status)
    const { error, requestId } = reply as ErrorReply
    t.regex(error.message, message)
    t.regex(error.code, /^ERR_[A-Z_]+$/)
    t.truthy(requestId)
  })

test('refused: images that are none', async (t) => {
  const cut = image(0).subarray(0, 200)
  for (const bytes of [Buffer.alloc(0), Buffer.from('<svg/>'), cut]) {
    const { status, reply } = await ask([bytes])
    t.is(status, 422)
    t.is((reply as ErrorReply).error.code, 'ERR_IMAGE')
  }
})

test('refused: forms without a file, or with it elsewhere', async (t) => {
  const { status, reply } = await ask([], { beam: '3' })
  t.is(status, 400)
  t.regex((reply as ErrorReply).error.message, /expected at least one image file/)
  const data = new FormData()
  data.append('image', new Blob([image(0) as Uint8Array<ArrayBuffer>]), 'a.png')
  const elsewhere = await fetch(`${serving.url}/caption`, { method: 'POST', body: data })
  t.is(elsewhere.status, 400)
  t.regex(((await elsewhere.json()) as ErrorReply).error.message, /"image"; expected it as "file"/)
})
