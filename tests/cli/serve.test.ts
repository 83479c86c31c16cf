/** `captioneer serve` as a process: where it listens, how it ends, how it loads its models again. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import ava, { type ExecutionContext } from 'ava'
import { randomModelFolder } from '../models/random-folder.js'
import { form, picture, rawReply } from '../serve/serving.js'
import { type CliResult, cli } from './run-cli.js'

const test = ava.serial

let folder = ''
let image: Buffer
const model = () => join(folder, 'model')

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'captioneer-cli-serve-'))
  await randomModelFolder(model())
  await cp(model(), join(folder, 'other one'), { recursive: true })
  image = await picture(1)
})
test.after.always(() => rm(folder, { recursive: true, force: true }))

interface Served {
  readonly url: string
  readonly models: readonly { readonly id: string }[]
  readonly child: ChildProcess
  readonly ended: Promise<CliResult>
  /** What it has said on stderr so far. */
  readonly said: () => string
}

/** A server on a free port, which is ended with the test. */
async function serve(t: ExecutionContext, words: readonly string[], env = {}): Promise<Served> {
  let child: ChildProcess | undefined
  let said = ''
  let started = (_: string) => {}
  const first = new Promise<string>((resolve) => {
    started = resolve
  })
  const ended = cli(['serve', '--port', '0', '--json', ...words], {
    env,
    onStart: (process) => {
      child = process
      process.stdout?.once('data', (line) => started(String(line)))
      process.stderr?.on('data', (text) => {
        said += text
      })
    },
  })
  t.teardown(() => child?.kill('SIGKILL'))
  const line = await Promise.race([first, ended.then(({ stderr }) => stderr)])
  if (!child || !line.startsWith('{')) throw new Error(`it did not start: ${line}`)
  return { ...JSON.parse(line), child, ended, said: () => said }
}

const caption = async (url: string, query = '') => {
  const response = await fetch(`${url}caption${query}`, form([image]))
  return { status: response.status, reply: (await response.json()) as Record<string, unknown> }
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200 && !(await holds()); i++) await delay(50)
}

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  test(`${signal} under load: all that was accepted is answered, exit code 0`, async (t) => {
    const { url, child, ended, models } = await serve(t, ['--model', model(), '--log', 'silent'])
    t.deepEqual(models as unknown, [{ id: 'model', device: 'cpu' }])
    t.is((await caption(url)).status, 200)
    const asked = Array.from({ length: 12 }, () => caption(url, '?beam=32&min_tokens=12'))
    await until(async () => {
      const metrics = await (await fetch(`${url}metrics`)).text()
      const value = (name: string) =>
        Number(new RegExp(`^captioneer_${name}(?:{.*})? (\\d+)`, 'm').exec(metrics)?.[1])
      // With the first one. Where they are quick, 12 never wait at the same time.
      return value('queue_length') + value('running') + value('captions_total') === 13
    })
    child.kill(signal)
    for (const { status } of await Promise.all(asked)) t.is(status, 200)
    const { code, stdout, stderr } = await ended
    t.is(code, 0)
    t.is(stdout.trim().split('\n').length, 1)
    t.regex(stderr, /listens at http:\/\/127\.0\.0\.1:\d+\/[\s\S]*finishing what was accepted/)
    await t.throwsAsync(fetch(`${url}health`))
  })

test('a signal as soon as it is ready is not missed', async (t) => {
  const { child, ended } = await serve(t, ['--model', model()])
  child.kill('SIGTERM')
  t.is((await ended).code, 0)
})

test('SIGHUP while it loads: loaded again, not ended', async (t) => {
  let said = ''
  const { code, stderr } = await cli(['serve', '--model', model(), '--port', '0'], {
    onStart: (child) =>
      child.stderr?.on('data', (text) => {
        const before = said
        said += text
        const has = (words: string) => said.includes(words) && !before.includes(words)
        if (has('listening at')) child.kill('SIGHUP')
        if (has('loaded again')) child.kill('SIGTERM')
      }),
  })
  t.is(code, 0, stderr)
})

test('several models by id; a token from the environment', async (t) => {
  const flags = ['--model', `first=${model()}`, join(folder, 'other one'), '--max-batch', '4']
  const { url, models, child, ended } = await serve(t, flags, { CAPTIONEER_TOKEN: 'sesame-open' })
  t.deepEqual(
    models.map(({ id }) => id),
    ['first', 'other-one'],
  )
  const ask = async (id: string, token: string) => {
    const headers = { authorization: `Bearer ${token}` }
    const response = await fetch(`${url}caption?model=${id}`, { ...form([image]), headers })
    return { status: response.status, reply: (await response.json()) as object }
  }
  t.like(await ask('first', 'sesame-open'), { status: 200, reply: { model: 'first' } })
  t.like(await ask('other-one', 'sesame-open'), { status: 200, reply: { model: 'other-one' } })
  t.like(await ask('firts', 'sesame-open'), { status: 404 })
  t.like(await ask('first', 'sesame-shut'), { status: 401 })
  child.kill('SIGTERM')
  const { code, stderr } = await ended
  t.is(code, 0)
  t.false(stderr.includes('sesame'))
})

test('SIGHUP and --watch load the model again; a damaged one leaves the old', async (t) => {
  const own = join(folder, 'changing')
  await cp(model(), own, { recursive: true })
  const { url, child, said, ended } = await serve(t, ['--model', own, '--watch'])
  const before = (await caption(url)).reply.caption
  const lines = () => said().split('loaded again').length - 1
  child.kill('SIGHUP')
  await until(() => lines() === 1)
  t.is((await caption(url)).reply.caption, before)

  const generation = join(own, 'generation.json')
  const defaults = JSON.parse(await readFile(generation, 'utf8'))
  await writeFile(generation, JSON.stringify({ ...defaults, prefix: 'word7 word9' }))
  await until(() => lines() === 2)
  t.regex(String((await caption(url)).reply.caption), /^word7 word9/)

  await writeFile(join(own, 'config.json'), '{')
  await until(() => /stays as it was/.test(said()))
  t.regex(said(), /changing stays as it was: .*config\.json/)
  t.regex(String((await caption(url)).reply.caption), /^word7 word9/)
  child.kill('SIGTERM')
  t.is((await ended).code, 0)
})

test('a port that is taken, an address that is not here, a folder that is no model: exit code 1', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as AddressInfo
  const wrong: [words: string[], message: RegExp][] = [
    [['--model', model(), '--port', String(port)], /port \d+ is used by another program/],
    [['--model', model(), '--port', '0', '--host', '192.0.2.1'], /has no address 192\.0\.2\.1/],
    [['--model', folder, '--port', '0'], /config\.json/],
  ]
  for (const [words, message] of wrong) {
    const { code, stdout, stderr } = await cli(['serve', ...words])
    t.is(code, 1, stderr)
    t.is(stdout, '')
    t.regex(stderr, message)
    t.notRegex(stderr, /\bat .*\.js:\d+/)
  }
})

test('a second signal ends it at once, whatever still comes in', async (t) => {
  const { url, child, ended } = await serve(t, ['--model', model()])
  const upload = rawReply(
    Number(new URL(url).port),
    'POST /caption HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: 99\r\n\r\n--x',
    20_000,
  )
  await delay(200)
  // What came after the upload's head is answered, so that the head was read.
  t.is((await caption(url)).status, 200)
  child.kill('SIGTERM')
  await delay(1000)
  t.is(child.exitCode, null, 'the first one waits for the upload')
  child.kill('SIGTERM')
  t.is((await ended).code, 130)
  t.is(await upload, '')
})
