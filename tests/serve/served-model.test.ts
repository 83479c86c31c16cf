/** How processes of a model come and go, step by step; simulation.test.ts has what happens all at once. */
import test from 'ava'
import type { ProcessEvents } from '../../ts/serve/model-keeper.js'
import type { FromHost, ToHost } from '../../ts/serve/protocol.js'
import { createServedModel, type ModelLimits } from '../../ts/serve/served-model.js'
import { createVirtualClock } from './virtual-clock.js'

const facts = {
  device: 'cpu',
  image: { size: 8, resize: 'squash' },
  parameters: 1,
  vocabulary: 9,
} as const

/** A model whose processes do what the test says, and a list of all that happened. */
function setUp(changes: Partial<ModelLimits> = {}) {
  const clock = createVirtualClock()
  const started: (ProcessEvents & { readonly sent: ToHost[]; end?: 'ended' | 'killed' })[] = []
  const model = createServedModel({
    id: 'm',
    folder: '/m',
    clock,
    limits: {
      maxBatch: 4,
      maxDelayMs: 0,
      maxQueue: 8,
      maxQueueBytes: 1000,
      timeoutMs: 1e6,
      maxDecoding: 2,
      longestDecodingMs: 1e5,
      longestBatchMs: 1e5,
      longestLoadMs: 1e5,
      ...changes,
    },
    start: (events) => {
      const process: (typeof started)[number] = { ...events, sent: [] }
      started.push(process)
      return {
        send: (message) => process.sent.push(message),
        end: () => {
          process.end = 'ended'
        },
        kill: () => {
          process.end = 'killed'
        },
      }
    },
    onBatch: () => {},
  })
  const log: string[] = []
  const send = (name: string, bytes = 1) =>
    model.submit({ image: new Uint8Array(bytes), options: {} }, ({ caption, error }) =>
      log.push(`${name}: ${caption?.text ?? (error as Error).message}`),
    )
  const process = (i: number) => {
    const found = started[i]
    if (!found) throw new Error(`process ${i} was not started`)
    return found
  }
  const tell = (i: number, ...messages: FromHost[]) => messages.forEach(process(i).onMessage)
  const types = (i: number) => process(i).sent.map(({ type }) => type)
  const decoded = (id: number): FromHost => ({ type: 'decoded', id, together: 9 })
  const captioned = (id: number): FromHost => ({
    type: 'captioned',
    id,
    caption: { text: `caption ${id}`, score: 0, tokens: [] },
  })
  const load = () => model.load(({ error }) => log.push(error ? error.message : 'loaded'))
  return { clock, started, model, log, send, process, tell, types, decoded, captioned, load }
}

test('a request that comes alone is captioned without a wait', (t) => {
  const { clock, model, log, send, tell, types, decoded, captioned, load } = setUp()
  load()
  t.is(model.model(), undefined)
  t.throws(() => send('too early'), { code: 'ERR_UNAVAILABLE', message: /"m" is not ready/ })
  tell(0, { type: 'ready', facts })
  t.like(model.model(), { id: 'm', folder: '/m', device: 'cpu' })
  send('a')
  tell(0, decoded(1))
  t.deepEqual(types(0), ['decode', 'caption'])
  t.is(clock.now(), 0)
  t.deepEqual(model.places(), { all: 1, running: 1 })
  tell(0, captioned(1))
  t.deepEqual(log, ['loaded', 'a: caption 1'])
})

test('a folder that cannot be loaded: the reason, also for requests, and no second try', (t) => {
  const { started, log, send, tell, process, load, clock } = setUp()
  load()
  tell(0, { type: 'failed', problem: { code: 'ERR_CHECKPOINT', message: 'no such folder' } })
  t.is(process(0).end, 'killed')
  process(0).onExit('signal SIGKILL')
  t.deepEqual(log, ['no such folder'])
  t.throws(() => send('a'), { code: 'ERR_UNAVAILABLE', message: /no such folder/ })
  t.false(clock.step())
  t.is(started.length, 1)
  load()
  tell(1, { type: 'ready', facts })
  t.deepEqual(log, ['no such folder', 'loaded'])
})

test('a crash: those at work are told, those that wait go to the next process', (t) => {
  const { log, send, tell, types, process, decoded, captioned, load, started } = setUp()
  load()
  tell(0, { type: 'ready', facts })
  for (const name of ['a', 'b', 'c', 'd', 'e']) send(name)
  tell(0, decoded(1), decoded(2))
  t.deepEqual(types(0), ['decode', 'decode', 'decode', 'caption', 'decode'])
  tell(0, decoded(3))
  process(0).onExit('signal SIGSEGV')
  // a was being captioned, d and e decoded; b and c were only waiting.
  t.deepEqual(
    log.map((line) => line.slice(0, 47)),
    [
      'loaded',
      ...['a', 'd', 'e'].map((x) =>
        `${x}: caption: the process of model "m" ended (signal`.slice(0, 47),
      ),
    ],
  )
  t.is(started.length, 2, 'started again at once')
  send('f')
  tell(1, { type: 'ready', facts })
  tell(1, decoded(2), decoded(3), captioned(2), decoded(6), captioned(3), captioned(6))
  t.deepEqual(log.slice(4), ['b: caption 2', 'c: caption 3', 'f: caption 6'])
})

test('processes that crash again and again are started after pauses that grow', (t) => {
  const { clock, started, send, tell, process, decoded, captioned, load, log } = setUp()
  load()
  const pauses: number[] = []
  for (let i = 0; i < 9; i++) {
    tell(i, { type: 'ready', facts })
    const before = clock.now()
    process(i).onExit('exit code 1')
    if (started.length === i + 1) {
      t.throws(() => send('a'), { code: 'ERR_UNAVAILABLE', message: /exit code 1.*Try again/ })
      while (started.length === i + 1) t.true(clock.step())
    }
    pauses.push(clock.now() - before)
  }
  t.deepEqual(pauses, [0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000])
  tell(9, { type: 'ready', facts })
  send('b')
  tell(9, decoded(1), captioned(1))
  process(9).onExit('exit code 1')
  t.is(started.length, 11, 'a caption in between: at once again')
  t.deepEqual(log, ['loaded', 'b: caption 1'])
})

test('loaded again: the new process gets new requests, the old one finishes its own', (t) => {
  const { log, send, tell, types, process, decoded, captioned, load, started } = setUp()
  load()
  tell(0, { type: 'ready', facts })
  send('a')
  load()
  send('b')
  tell(1, { type: 'ready', facts })
  t.is(process(0).end, undefined)
  send('c')
  t.deepEqual(types(1), ['decode'])
  tell(0, decoded(1), decoded(2), captioned(1), captioned(2))
  t.is(process(0).end, 'ended')
  tell(1, decoded(3), captioned(3))
  t.deepEqual(log, ['loaded', 'loaded', 'a: caption 1', 'b: caption 2', 'c: caption 3'])
  load()
  tell(2, { type: 'failed', problem: { code: 'ERR_CHECKPOINT', message: 'damaged' } })
  process(2).onExit('signal SIGKILL')
  send('d')
  tell(1, decoded(4), captioned(4))
  t.deepEqual(log.slice(5), ['damaged', 'd: caption 4'])
  t.is(started.length, 3)
})

test('places: so many, so many bytes, and when to try again', (t) => {
  const { clock, model, send, tell, decoded, captioned, load } = setUp({ maxQueue: 3 })
  load()
  tell(0, { type: 'ready', facts })
  send('a', 5000)
  t.throws(() => send('b'), { code: 'ERR_QUEUE_FULL' })
  tell(0, decoded(1))
  clock.at(4000, () => tell(0, captioned(1)))
  clock.step()
  t.is(model.places().all, 0)
  const leave = send('c')
  send('d')
  send('e')
  const error = t.throws(() => send('f'), { code: 'ERR_QUEUE_FULL', message: /3 requests wait/ })
  t.like(error, { retryAfterSeconds: 12 })
  tell(0, decoded(2), decoded(3))
  leave(new Error('gone'))
  t.is(model.places().all, 3, 'it is being captioned')
  tell(0, captioned(2))
  t.is(model.places().all, 2)
})

test('what waits leaves at once and frees its place', (t) => {
  const { model, log, send, tell, types, decoded, load } = setUp({ timeoutMs: 1000 })
  load()
  tell(0, { type: 'ready', facts })
  const [, second, , fourth] = ['a', 'b', 'c', 'd', 'e'].map((name) => send(name))
  tell(0, decoded(1), decoded(2))
  second?.(new Error('gone'))
  fourth?.(new Error('gone too'))
  t.deepEqual(log, ['loaded', 'b: gone', 'd: gone too'])
  t.deepEqual(types(0), ['decode', 'decode', 'decode', 'caption', 'decode', 'forget'])
  t.is(model.places().all, 4, 'd is still being decoded')
  tell(0, decoded(4))
  t.deepEqual(types(0).slice(6), ['forget', 'decode'])
  t.is(model.places().all, 3)
})

test('a request that takes too long is told, and a process that hangs is killed', (t) => {
  const { clock, log, send, tell, process, decoded, load } = setUp({
    timeoutMs: 1000,
    longestBatchMs: 2000,
  })
  load()
  tell(0, { type: 'ready', facts })
  send('a')
  tell(0, decoded(1))
  while (clock.now() < 1000) t.true(clock.step())
  t.regex(log[1] ?? '', /^a: caption: no caption within 1 s/)
  t.is(process(0).end, undefined)
  while (clock.now() < 2000) t.true(clock.step())
  t.is(process(0).end, 'killed')
})

test('closing finishes what was accepted, even after a crash, and takes no more', (t) => {
  const { model, log, send, tell, process, decoded, captioned, load, started } = setUp()
  load()
  tell(0, { type: 'ready', facts })
  for (const name of ['a', 'b', 'c']) send(name)
  model.close(() => log.push('closed'))
  t.is(model.model(), undefined)
  t.throws(() => send('d'), { code: 'ERR_UNAVAILABLE', message: /closing/ })
  process(0).onExit('signal SIGKILL')
  tell(1, { type: 'ready', facts })
  tell(1, decoded(3), captioned(3))
  t.is(process(1).end, 'ended')
  process(1).onExit('exit code 0')
  t.deepEqual(log.slice(3), ['c: caption 3', 'closed'])
  t.is(started.length, 2)
})

test('closing while the model is loaded ends that', (t) => {
  const { clock, model, log, process, load } = setUp()
  load()
  load()
  model.close(() => log.push('closed'))
  t.is(process(0).end, 'killed')
  process(0).onExit('signal SIGKILL')
  t.is(log[0], 'loading model "m": the service was closed')
  t.regex(log[1] ?? '', /closing/)
  t.deepEqual(log.slice(2), ['closed'])
  t.false(clock.step())
})
