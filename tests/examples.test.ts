/** Runs every program of examples/ as a user would, on a tiny data set: what they print is looked at, and the files. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import ava from 'ava'
import sharp from 'sharp'
import { packageRoot } from '../ts/native.js'
import { tinyData } from './cli/tiny-data.js'

// The first one trains the model that the others use.
const test = ava.serial

let data: Awaited<ReturnType<typeof tinyData>>
const model = () => join(data.folder, 'run')
const picture = () => join(data.folder, 'picture-00.png')

test.before(async () => {
  data = await tinyData()
})
test.after.always(() => data.remove())

function start(example: string, words: readonly string[]) {
  return startProgram(`dist/examples/${example}.js`, words)
}

function startProgram(program: string, words: readonly string[]) {
  return spawn(process.execPath, [join(packageRoot, program), ...words], {
    env: { CAPTIONEER_VARIANT: 'cpu', ...process.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** Runs an example to its end, which must be a good one. */
async function run(example: string, ...words: string[]): Promise<{ out: string; err: string }> {
  const child = start(example, words)
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ])
  if (code !== 0) throw new Error(`${example} ended with ${code}:\n${out}${err}`)
  return { out, err }
}

/** Starts a server and gives the first address that it prints. */
async function serverOf(child: ReturnType<typeof start>): Promise<string> {
  for await (const line of createInterface({ input: child.stdout })) {
    const address = /http:\/\/[\w.:]+\//.exec(line)?.[0]
    if (address !== undefined) return address
  }
  throw new Error('the server ended without an address')
}

test('train-own-folder: a model and a report', async (t) => {
  const { out } = await run('train-own-folder', data.folder, model())
  t.regex(out, /step 10 of \d+, loss \d/)
  t.regex(out, /validation loss \d/)
  t.true((await readdir(model())).includes('model.safetensors'))
  t.true((await readdir(model())).includes('report.html'))
})

test('caption-folder: a line a picture, and the others where one is damaged', async (t) => {
  await writeFile(join(data.folder, 'damaged.png'), 'not a picture')
  const { out, err } = await run('caption-folder', model(), data.folder)
  t.is(out.match(/picture-\d\d\.png: .+ \(-?\d+\.\d\d\)/g)?.length, 20)
  t.regex(err, /damaged\.png.*is not a JPEG/)
})

test('stream-caption: the caption of caption()', async (t) => {
  const { out } = await run('stream-caption', model(), picture())
  t.regex(out, /^[a-z][a-z ]+\n$/)
})

test('attention-map: a tile a word', async (t) => {
  const map = join(data.folder, 'map.PNG')
  const { out } = await run('attention-map', model(), picture(), map)
  const words = (out.trim().split(': ')[1] ?? '').split(' ').length
  const { width, height } = await sharp(map).metadata()
  t.deepEqual([width, height], [160 * words, 160])
})

test('score-captions: captions score more than the constant one', async (t) => {
  const { out } = await run('score-captions')
  const scores = [...out.matchAll(/CIDEr-D (\d+\.\d)/g)].map(([, score]) => Number(score))
  t.is(scores.length, 2)
  t.true((scores[0] ?? 0) > (scores[1] ?? 0))
})

test('custom-model: learns, and the same in every run', async (t) => {
  const { out } = await run('custom-model')
  const losses = [...out.matchAll(/loss (\d\.\d+)/g)].map(([, loss]) => Number(loss))
  t.is(losses.length, 3)
  t.true((losses[2] ?? 9) < 0.8, out)
  t.is((await run('custom-model')).out, out)
})

test('server: a caption, and what is no picture refused', async (t) => {
  const server = start('server', [model(), '0'])
  try {
    const address = await serverOf(server)
    const post = (body: Uint8Array<ArrayBuffer> | string) =>
      fetch(address, { method: 'POST', body })
    const good = await post(new Uint8Array(await readFile(picture())))
    t.is(good.status, 200)
    t.regex(((await good.json()) as { caption: string }).caption, /^[a-z][a-z ]+$/)
    t.is((await post('text')).status, 400)
    t.is((await fetch(address)).status, 405)
    t.is((await post(new Uint8Array(11 * 1024 ** 2))).status, 413)
  } finally {
    server.kill('SIGTERM')
  }
  const [code] = (await once(server, 'close')) as [number | null]
  t.is(code, 0)
})

test('client: captions of `captioneer serve`', async (t) => {
  const words = ['serve', '--model', model(), '--port', '0', '--json', '--log', 'error']
  const server = startProgram('dist/ts/cli/main.js', words)
  server.stderr.resume()
  try {
    const { out } = await run('client', await serverOf(server), picture(), picture())
    t.regex(out, /^(picture-00\.png: [a-z ]+ \(-?\d+\.\d\d\)\n){2}$/)
  } finally {
    server.kill('SIGTERM')
  }
  const [code] = (await once(server, 'close')) as [number | null]
  t.is(code, 0)
})
