/** The loader's order, bounds, errors and end. */
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { type LoadedImage, loadImages } from '../../ts/data/image-loader.js'
import { ArgumentError, ImageError } from '../../ts/errors.js'
import { plain } from './folder.js'

const options = { size: 2, resize: 'squash' } as const
const shade = (i: number) => plain({ r: i, g: i, b: i }, 4, 4).png().toBuffer()

async function all<T>(loaded: AsyncGenerator<LoadedImage<T>>): Promise<LoadedImage<T>[]> {
  const found: LoadedImage<T>[] = []
  for await (const image of loaded) found.push(image)
  return found
}

test('images come in the order of the items, however long each one takes', async (t) => {
  const items = Array.from({ length: 40 }, (_, i) => i)
  const slowThenFast = async (i: number) => {
    await sleep(i % 4 === 0 ? 20 : 0)
    return shade(i)
  }
  async function* later() {
    for (const item of items) yield item
  }
  for (const source of [items, later()]) {
    const found = await all(
      loadImages(source, slowThenFast, { ...options, concurrency: 6, ahead: 9 }),
    )
    t.deepEqual(
      found.map(({ item, pixels }) => [item, pixels?.[0]]),
      items.map((i) => [i, i]),
    )
  }
  t.deepEqual(await all(loadImages([], shade, options)), [])
})

test('never more than `ahead` items taken and `concurrency` in work', async (t) => {
  let taken = 0
  let yielded = 0
  let working = 0
  let most = { waiting: 0, working: 0 }
  function* source() {
    for (let i = 0; i < 50; i++) {
      taken++
      most = { ...most, waiting: Math.max(most.waiting, taken - yielded) }
      yield i
    }
  }
  const toInput = async (i: number) => {
    working++
    most = { ...most, working: Math.max(most.working, working) }
    await sleep(2)
    working--
    return shade(i)
  }
  for await (const { item } of loadImages(source(), toInput, {
    ...options,
    concurrency: 3,
    ahead: 7,
  })) {
    t.is(item, yielded)
    yielded++
    if (item === 10) await sleep(60)
  }
  t.is(yielded, 50)
  t.deepEqual(most, { waiting: 7, working: 3 })
})

test('an image that cannot be decoded carries its error, and the rest goes on', async (t) => {
  const toInput = async (i: number) => {
    if (i === 2) throw new ImageError('told by toInput')
    return i === 1 ? '/no/such/photo.jpg' : shade(i)
  }
  const found = await all(loadImages([0, 1, 2, 3], toInput, options))
  t.deepEqual(
    found.map(({ pixels }) => pixels?.[0]),
    [0, undefined, undefined, 3],
  )
  t.true(found[1]?.error instanceof ImageError)
  t.regex(found[1]?.error?.message ?? '', /photo\.jpg": no such file/)
  t.is(found[2]?.error?.message, 'told by toInput')
})

test('faults of the source and of the caller are thrown in their place', async (t) => {
  async function* failing() {
    yield 0
    throw new Error('the disk is gone')
  }
  const seen: number[] = []
  const run = async () => {
    for await (const { item } of loadImages(failing(), shade, options)) seen.push(item)
  }
  await t.throwsAsync(run(), { message: 'the disk is gone' })
  t.deepEqual(seen, [0])
  const wrong = () => {
    throw new TypeError('a bug')
  }
  await t.throwsAsync(all(loadImages([1], wrong, options)), { instanceOf: TypeError })
  await t.throwsAsync(all(loadImages([1], shade, { ...options, ahead: 0 })), {
    instanceOf: ArgumentError,
  })
  await t.throwsAsync(all(loadImages([1], shade, { ...options, concurrency: 0 })), {
    instanceOf: ArgumentError,
  })
})

test('what is decoded is handed out while the source is slow; leaving closes the source', async (t) => {
  let closed = false
  async function* slow() {
    try {
      yield 5
      await sleep(30_000, undefined, { ref: false })
      yield 6
    } finally {
      closed = true
    }
  }
  const began = performance.now()
  for await (const { item } of loadImages(slow(), shade, options)) {
    t.is(item, 5)
    break
  }
  t.true(performance.now() - began < 10_000)

  let returned = false
  function* quick() {
    try {
      for (let i = 0; ; i++) yield i
    } finally {
      returned = true
    }
  }
  for await (const { item } of loadImages(quick(), shade, options)) if (item === 3) break
  t.true(returned)
  t.false(closed, 'the hanging source was not waited for')
})

test('an abort ends the loading with its reason, at once and before it began', async (t) => {
  const hanging = () => new Promise<Uint8Array>(() => {})
  const controller = new AbortController()
  const waiting = all(loadImages([1, 2, 3], hanging, { ...options, signal: controller.signal }))
  await sleep(5)
  controller.abort(new Error('stop'))
  await t.throwsAsync(waiting, { message: 'stop' })
  await t.throwsAsync(all(loadImages([1], shade, { ...options, signal: AbortSignal.abort() })), {
    any: true,
    name: 'AbortError',
  })
})
