/** Server-sent events of work whose pace is the test's. */
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { eventStream } from '../../ts/serve/event-stream.js'

const failure = (error: unknown) => ({ told: (error as Error).message })

test('tokens, heartbeats while nothing comes, and the caption', async (t) => {
  const stream = await eventStream(
    async (progress) => {
      progress('a')
      progress('a "b"\n')
      await delay(120)
      progress('a b c')
      return { caption: 'a b c' }
    },
    { heartbeat: 50, failure },
  )
  const text = Buffer.concat(await stream.toArray()).toString()
  const beats = text.split(': still at work\n\n')
  t.true(beats.length > 1)
  t.is(
    beats.join(''),
    [
      'event: token\ndata: {"text":"a"}\n\n',
      'event: token\ndata: {"text":"a \\"b\\"\\n"}\n\n',
      'event: token\ndata: {"text":"a b c"}\n\n',
      'event: caption\ndata: {"caption":"a b c"}\n\n',
    ].join(''),
  )
})

test('an error before the first event is thrown, a later one is the last event', async (t) => {
  const options = { heartbeat: 1000, failure }
  const early = eventStream(async () => {
    await delay(5)
    throw new Error('early')
  }, options)
  await t.throwsAsync(early, { message: 'early' })

  const late = await eventStream(async (progress) => {
    progress('a')
    await delay(5)
    throw new Error('late')
  }, options)
  const text = Buffer.concat(await late.toArray()).toString()
  t.is(text, 'event: token\ndata: {"text":"a"}\n\nevent: error\ndata: {"told":"late"}\n\n')
})

test('work that takes long before its first token has its stream by the first heartbeat', async (t) => {
  const stream = await eventStream(
    async () => {
      await delay(60)
      throw new Error('late')
    },
    { heartbeat: 20, failure },
  )
  const text = Buffer.concat(await stream.toArray()).toString()
  t.regex(text, /^(: still at work\n\n)+event: error\ndata: {"told":"late"}\n\n$/)
})

test('a reader that does not read holds the events back and gets them all', async (t) => {
  const texts = Array.from({ length: 400 }, (_, i) => `${i} ${'x'.repeat(1000)}`)
  const stream = await eventStream(
    async (progress) => {
      for (const text of texts) progress(text)
      return {}
    },
    { heartbeat: 10, failure },
  )
  await delay(50)
  t.true(stream.readableLength < 200_000, `${stream.readableLength} bytes are buffered`)
  const text = Buffer.concat(await stream.toArray()).toString()
  t.is(text.split('event: token').length - 1, 400)
})
