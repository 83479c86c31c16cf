/** Real processes with a tiny model: right captions for everyone, whatever happens to the processes. */
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import ava from 'ava'
import sharp from 'sharp'
import { type Caption, loadCaptioner } from '../../ts/captioner.js'
import type { CaptionOptions } from '../../ts/decoding/options.js'
import { createRandom } from '../../ts/random.js'
import {
  type CaptionServiceOptions,
  createCaptionService,
  type LoadingCaptionService,
} from '../../ts/serve/caption-service.js'
import { randomModelFolder } from '../models/random-folder.js'

// One after another: each has processes of its own.
const test = ava.serial

let folder = ''
let images: Buffer[] = []
const model = () => join(folder, 'model')
const optionSets: readonly CaptionOptions[] = [
  {},
  { beam: 1 },
  { beam: 5, numCaptions: 2, attention: true },
  { temperature: 2, seed: 7 },
]
/** What each image is captioned with each of the options, offline. */
let expected: Caption[][] = []

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'captioneer-serve-'))
  await randomModelFolder(model())
  images = await Promise.all(
    Array.from({ length: 6 }, (_, i) => {
      const random = createRandom(i)
      const data = Uint8Array.from({ length: 48 * 40 * 3 }, () => random() * 256)
      const image = sharp(data, { raw: { width: 48, height: 40, channels: 3 } })
      return image.toFormat((['jpeg', 'png', 'webp'] as const)[i % 3] ?? 'png').toBuffer()
    }),
  )
  using captioner = await loadCaptioner(model(), { device: 'cpu' })
  expected = []
  for (const image of images) {
    const captions: Caption[] = []
    for (const options of optionSets) captions.push(await captioner.caption(image, options))
    expected.push(captions)
  }
})
test.after.always(() => rm(folder, { recursive: true, force: true }))

type Changes = Partial<CaptionServiceOptions>

/** Runs `body` with a service that is ready; no process is left of it. */
async function withService(
  changes: Changes,
  body: (service: LoadingCaptionService) => Promise<void>,
): Promise<void> {
  const models = [{ id: 'one', folder: model() }]
  const service = createCaptionService({ models, device: 'cpu', ...changes })
  try {
    await service.loaded
    await body(service)
  } finally {
    await service.close()
  }
  if ((await hosts()).length > 0) throw new Error('a process is left')
}

/** Process ids of the models' processes that this one started. */
async function hosts(): Promise<number[]> {
  const found: number[] = []
  for (const entry of await readdir('/proc')) {
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '')
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (Number(parent) === process.pid && state !== 'Z') found.push(Number(entry))
  }
  return found
}

function ask(
  service: LoadingCaptionService,
  image: number,
  options = 0,
  {
    signal = new AbortController().signal,
    onProgress,
    model,
  }: {
    signal?: AbortSignal
    onProgress?: (text: string) => void
    model?: string
  } = {},
): Promise<Caption> {
  const bytes = images[image % images.length] ?? Buffer.alloc(0)
  return service.caption({
    image: bytes,
    options: optionSets[options] ?? {},
    signal,
    onProgress,
    model,
  })
}

const known = (image: number, options = 0) => expected[image % images.length]?.[options]

test('many at once: each gets its own caption, to the last bit as offline', async (t) => {
  await withService({}, async (service) => {
    const sizes: number[] = []
    service.onBatch(({ size, model: id, waitedSeconds, seconds }) => {
      sizes.push(size)
      t.is(id, 'one')
      t.true(waitedSeconds.length === size && seconds > 0)
    })
    t.like(service.models()[0], { id: 'one', folder: model(), device: 'cpu', vocabulary: 64 })
    t.true(service.ready())
    const asked = Array.from({ length: 96 }, (_, i) => ({ image: i, options: (i >> 2) % 4 }))
    const texts: string[] = []
    const onProgress = (text: string): void => void texts.push(text)
    const captions = await Promise.all([
      ...asked.map(({ image, options }) => ask(service, image, options)),
      ask(service, 3, 1, { onProgress }),
    ])
    for (const [i, { image, options }] of asked.entries())
      t.deepEqual(captions[i], known(image, options), `${i}`)
    t.deepEqual(captions[96], known(3, 1))
    t.true(texts.length > 0 && captions[96]?.text.startsWith(texts[0] ?? '-'))
    t.true(Math.max(...sizes) > 1)
    t.is(
      sizes.reduce((a, b) => a + b, 0),
      97,
    )
    t.deepEqual(service.facts(), { queued: 0, running: 0, batches: sizes.length, images: 97 })
  })
})

test('what is wrong with one request is told to that one alone', async (t) => {
  await withService({}, async (service) => {
    const signal = new AbortController().signal
    const image = images[0] ?? Buffer.alloc(0)
    const results = await Promise.allSettled([
      ask(service, 0),
      service.caption({ image: image.subarray(0, 60), options: {}, signal }),
      service.caption({ image: Buffer.from('GIF89a and more'), options: {}, signal }),
      service.caption({ image, options: { beam: 0 }, signal }),
      service.caption({ image, options: { prefix: 'zebra' }, signal }),
      service.caption({ image, options: {}, signal, model: 'ones' }),
      service.caption({ image, options: {}, signal: AbortSignal.abort(new Error('gone')) }),
      ask(service, 1),
    ])
    const ends = results.map((result) =>
      result.status === 'fulfilled' ? 'caption' : `${result.reason.code} ${result.reason.message}`,
    )
    t.is(ends[0], 'caption')
    t.regex(ends[1] ?? '', /^ERR_IMAGE .*cut off or damaged/)
    t.regex(ends[2] ?? '', /^ERR_IMAGE .*not a JPEG, PNG or WebP/)
    t.regex(ends[3] ?? '', /^ERR_ARGUMENT caption: expected beam to be .*received 0/)
    t.regex(ends[4] ?? '', /^ERR_ARGUMENT .*"zebra" is not in its vocabulary/)
    t.regex(ends[5] ?? '', /^ERR_ARGUMENT .*one of one \(did you mean "one"\?\), received "ones"/)
    t.is(ends[6], 'undefined gone')
    t.is(ends[7], 'caption')
  })
})

test('leaving frees places at once, waiting or running', async (t) => {
  await withService({ maxQueue: 12, maxBatch: 2 }, async (service) => {
    const controller = new AbortController()
    const asked = Array.from({ length: 12 }, (_, i) =>
      ask(service, i, 2, { signal: AbortSignal.any([controller.signal]) }),
    )
    await t.throwsAsync(ask(service, 0), { code: 'ERR_QUEUE_FULL' })
    controller.abort(new Error('left'))
    const { queued, running } = service.facts()
    t.true(queued + running <= 3, `${queued} + ${running}`)
    for (const result of await Promise.allSettled(asked))
      t.is(result.status === 'rejected' && result.reason.message, 'left')
    // A stream that runs is ended, not only its answer dropped.
    const stopping = new AbortController()
    const options = { minTokens: 12 }
    let words = 0
    const onProgress = (): void => {
      if (++words === 2) stopping.abort(new Error('enough'))
    }
    const image = images[0] ?? Buffer.alloc(0)
    await t.throwsAsync(service.caption({ image, options, signal: stopping.signal, onProgress }), {
      message: 'enough',
    })
    t.deepEqual(await ask(service, 1), known(1))
    t.is(words, 2)
    t.is(service.facts().queued + service.facts().running, 0)
  })
})

test('kill -9: those at work are told, everyone else is captioned by the next process', async (t) => {
  await withService({ maxBatch: 2 }, async (service) => {
    const [pid = 0] = await hosts()
    const asked = Array.from({ length: 40 }, (_, i) => ask(service, i))
    const results = Promise.allSettled(asked)
    await asked[1]
    process.kill(pid, 'SIGKILL')
    let [captions, lost] = [0, 0]
    for (const [i, result] of (await results).entries()) {
      if (result.status === 'fulfilled') {
        captions++
        t.deepEqual(result.value, known(i))
      } else {
        lost++
        t.is(result.reason.code, 'ERR_UNAVAILABLE')
        t.regex(
          result.reason.message,
          /ended \(signal SIGKILL\) while it was at work on this image/,
        )
      }
    }
    t.true(lost >= 1 && lost <= 2 + 16, `${lost} lost`)
    t.true(captions >= 20, `${captions} captions`)
    t.true(service.ready())
    t.deepEqual(await ask(service, 5), known(5))
    t.notDeepEqual(await hosts(), [pid])
  })
})

test('loading again under load loses nothing', async (t) => {
  await withService({}, async (service) => {
    const [before] = await hosts()
    let done = false
    let count = 0
    const client = async (start: number): Promise<void> => {
      for (let i = start; !done; i++, count++)
        t.deepEqual(await ask(service, i, i % 4), known(i, i % 4))
    }
    const clients = [0, 1, 2, 3].map(client)
    const first = service.models()[0]?.loadedAt ?? ''
    const [one, two] = await Promise.all([service.reload('one'), service.reload('one')])
    t.true(first < one.loadedAt && one.loadedAt <= two.loadedAt)
    t.is(service.models()[0]?.loadedAt, two.loadedAt)
    done = true
    await Promise.all(clients)
    t.true(count > 4)
    while ((await hosts()).length > 1) await sleep(20)
    t.notDeepEqual(await hosts(), [before])
    await t.throwsAsync(service.reload('two'), { code: 'ERR_ARGUMENT' })
  })
})

test('a folder that was damaged meanwhile: loading it again fails, the old model goes on', async (t) => {
  const copy = join(folder, 'copy')
  await cp(model(), copy, { recursive: true })
  const models = [
    { id: 'one', folder: model() },
    { id: 'copy', folder: copy },
  ]
  await withService({ models }, async (service) => {
    t.deepEqual(
      service.models().map(({ id }) => id),
      ['one', 'copy'],
    )
    await writeFile(join(copy, 'config.json'), '{')
    await t.throwsAsync(service.reload('copy'), { code: 'ERR_CHECKPOINT', message: /config.json/ })
    t.deepEqual(await ask(service, 0, 0, { model: 'copy' }), known(0))
    t.deepEqual(await ask(service, 0), known(0))
  })
})

test('too slow: a TimeoutError, and the service goes on', async (t) => {
  await withService({ timeoutSeconds: 2, maxBatch: 1 }, async (service) => {
    const [pid = 0] = await hosts()
    process.kill(pid, 'SIGSTOP')
    const results = await Promise.allSettled([0, 1, 2, 3].map((i) => ask(service, i)))
    for (const result of results)
      t.is(result.status === 'rejected' && result.reason.code, 'ERR_TIMEOUT')
    process.kill(pid, 'SIGCONT')
    while (service.facts().queued + service.facts().running > 0) await sleep(10)
    t.deepEqual(await ask(service, 2), known(2))
  })
})

test('closing answers everyone who was accepted and refuses the rest', async (t) => {
  await withService({}, async (service) => {
    const asked = Array.from({ length: 30 }, (_, i) => ask(service, i))
    const closed = service.close()
    t.false(service.ready())
    await t.throwsAsync(ask(service, 0), { code: 'ERR_UNAVAILABLE', message: /closing/ })
    for (const [i, caption] of (await Promise.all(asked)).entries()) t.deepEqual(caption, known(i))
    await closed
    t.deepEqual(await hosts(), [])
    await t.throwsAsync(service.reload('one'), { code: 'ERR_UNAVAILABLE' })
  })
})

test('what is wrong at the start is told in its own words', async (t) => {
  const start = async (changes: Changes) => {
    const models = [{ id: 'one', folder: model() }]
    const service = createCaptionService({ models, device: 'cpu', ...changes })
    t.false(service.ready())
    t.deepEqual(service.models(), [])
    try {
      await service.loaded
    } finally {
      await t.throwsAsync(ask(service, 0), { code: 'ERR_UNAVAILABLE' })
      await service.close()
    }
  }
  const nothing = join(folder, 'nothing')
  await t.throwsAsync(start({ models: [{ id: 'x', folder: nothing }] }), {
    code: 'ERR_CHECKPOINT',
    message: /nothing/,
  })
  const variant = process.env.CAPTIONEER_VARIANT
  process.env.CAPTIONEER_VARIANT = 'cpu'
  await t.throwsAsync(start({ device: 'cuda' }), { code: 'ERR_DEVICE', message: /"cuda"/ })
  if (variant === undefined) delete process.env.CAPTIONEER_VARIANT
  else process.env.CAPTIONEER_VARIANT = variant
  const one = { id: 'one', folder: model() }
  for (const changes of [
    { models: [] },
    { models: [one, one] },
    { models: [{ ...one, id: 'a/b' }] },
    { maxBatch: 0 },
    { maxDelayMs: -1 },
    { maxQueue: 1.5 },
    { timeoutSeconds: 0 },
    { device: 'gpu' as 'cpu' },
  ])
    t.throws(() => createCaptionService({ models: [one], ...changes }), { code: 'ERR_ARGUMENT' })
})

test('a server that is killed takes its models with it', async (t) => {
  const script = `
    const { createCaptionService } = await import(${JSON.stringify(new URL('../../ts/serve/caption-service.js', import.meta.url).href)})
    const models = [{ id: 'one', folder: ${JSON.stringify(model())} }]
    await createCaptionService({ models, device: 'cpu' }).loaded
    const { readdirSync, readFileSync } = await import('node:fs')
    const child = readdirSync('/proc').find((entry) => {
      try {
        return readFileSync('/proc/' + entry + '/stat', 'utf8').split(') ')[1].split(' ')[1] === String(process.pid)
      } catch {}
    })
    process.stdout.write(child, () => process.kill(process.pid, 'SIGKILL'))`
  const failed = await t.throwsAsync<Error & { stdout: string; signal: string }>(
    promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]),
  )
  t.is(failed?.signal, 'SIGKILL')
  const child = Number(failed?.stdout)
  t.true(child > 0)
  const isThere = () => readFile(`/proc/${child}/cmdline`, 'utf8').then(Boolean, () => false)
  for (let i = 0; i < 100 && (await isThere()); i++) await sleep(50)
  t.false(await isThere())
})
