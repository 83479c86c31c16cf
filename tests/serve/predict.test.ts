/** EIR's contract: /predict and /info as clients of its image captioning tutorial use them. */
import ava from 'ava'
import { loadCaptioner } from '../../ts/captioner.js'
import { type ErrorReply, picture, type Serving, startServing } from './serving.js'

const test = ava.serial

let serving: Serving

test.before(async () => {
  serving = await startServing()
})
test.after.always(() => serving?.end())

async function predict(body: string, query = '', type = 'application/json') {
  const headers = { 'content-type': type }
  const response = await fetch(`${serving.url}/predict?${query}`, { method: 'POST', headers, body })
  return { status: response.status, reply: await response.json() }
}

const sample = (image: Uint8Array, captions = '') => ({
  image_captioning: Buffer.from(image).toString('base64'),
  captions,
})

test('the tutorial: images with and without a prefix, captions in their order', async (t) => {
  const images = [await picture(1, 'jpeg'), await picture(2, 'jpeg'), await picture(3)]
  const prefixes = ['', '', 'word4 word5']
  const body = images.map((image, i) => sample(image, prefixes[i]))
  const { status, reply } = await predict(JSON.stringify(body))
  t.is(status, 200)
  using offline = await loadCaptioner(serving.folder, { device: 'cpu' })
  const expected = await Promise.all(
    images.map(async (image, i) => ({
      captions: (await offline.caption(image, { prefix: prefixes[i] })).text,
    })),
  )
  t.deepEqual(reply, { result: expected })
  t.true(expected[2]?.captions.startsWith('word4 word5'))
})

test('keys that are not known are let be, and nothing gives nothing', async (t) => {
  const body = JSON.stringify([{ ...sample(await picture(1)), other: 1 }])
  t.is((await predict(body)).status, 200)
  t.deepEqual(await predict('[]'), { status: 200, reply: { result: [] } })
})

test('one bad image refuses all: the others are captioned no more', async (t) => {
  const good = sample(await picture(1))
  const bad = sample(Buffer.from('no picture'))
  const { images: before } = serving.service.facts()
  const query = 'beam=32&min_tokens=12'
  t.is((await predict(JSON.stringify([bad, ...Array(40).fill(good)]), query)).status, 422)
  const { queued, running, images } = serving.service.facts()
  t.true(queued + running + images - before < 20, `${queued} + ${running} + ${images - before}`)
})

test('/info tells the shape of the input', async (t) => {
  const response = await fetch(`${serving.url}/info`)
  t.deepEqual(await response.json(), {
    inputs: { image_captioning: { type: 'image', shape: [3, 32, 32] } },
    outputs: {},
  })
})

const wrong: [name: string, body: string, type: string, loc: unknown[]][] = [
  ['no array', '{}', 'list_type', ['body']],
  ['no objects', '["a"]', 'dict_type', ['body', 0]],
  ['no prefix', '[{"image_captioning":""}]', 'missing', ['body', 0, 'captions']],
  ['no image', '[{"captions":""}]', 'missing', ['body', 0, 'image_captioning']],
  ['no string', '[{"image_captioning":"","captions":3}]', 'string_type', ['body', 0, 'captions']],
  ['no JSON', '[{', 'json_invalid', ['body', 0]],
  ['nothing', '', 'missing', ['body']],
  [
    'a prototype',
    '[{"image_captioning":"","captions":"","__proto__":{"x":1}}]',
    'json_invalid',
    ['body', 0],
  ],
  ['too many', JSON.stringify(Array(65).fill({})), 'too_long', ['body']],
  [
    'no image file',
    JSON.stringify([sample(Buffer.from('hello'))]),
    'value_error',
    ['body', 0, 'image_captioning'],
  ],
]
for (const [name, body, type, loc] of wrong)
  test(`422 in FastAPI's shape: ${name}`, async (t) => {
    const { status, reply } = await predict(body)
    t.is(status, 422)
    const { detail, error, requestId } = reply as ErrorReply & { detail: { msg: string }[] }
    t.like(detail[0], { type, loc })
    t.truthy(detail[0]?.msg)
    t.truthy(error.code)
    t.truthy(requestId)
  })

test('other errors are as everywhere', async (t) => {
  const unknown = await predict(JSON.stringify([sample(await picture(1), 'zebra')]))
  t.is(unknown.status, 400)
  t.like((unknown.reply as ErrorReply).error, { code: 'ERR_ARGUMENT' })
  t.is((await predict('[]', '', 'text/plain')).status, 415)
  const large = await predict(`["${'a'.repeat(17 * 2 ** 20)}"]`)
  t.is(large.status, 413)
  t.like((large.reply as ErrorReply).error, { code: 'ERR_TOO_LARGE' })
})
