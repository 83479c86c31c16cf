/** A loaded model with random weights: captions, streams, attention, and what the command makes of the same options. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ava from 'ava'
import sharp from 'sharp'
import {
  type Caption,
  type Captioner,
  type CaptionProgress,
  loadCaptioner,
} from '../ts/captioner.js'
import type { CaptionOptions } from '../ts/decoding/options.js'
import { synchronize } from '../ts/native.js'
import { createRandom } from '../ts/random.js'
import { memory } from '../ts/tensor.js'
import { cli } from './cli/run-cli.js'
import { cpu } from './device.js'
import { randomModelFolder } from './models/random-folder.js'

// One after another, because some count the tensors alive.
const test = ava.serial

let folder = ''
const model = () => join(folder, 'model')
const sampler = () => join(folder, 'sampler')
const pictures = () => Array.from({ length: 5 }, (_, i) => join(folder, `picture ${i}.png`))

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'captioneer-captioner-'))
  await randomModelFolder(model())
  await randomModelFolder(sampler(), {
    temperature: 1.5,
    topK: 20,
    tau: 0.9,
    repetitionPenalty: 1.2,
    seed: 4,
    prefix: 'word8',
  })
  for (const [i, path] of pictures().entries()) {
    const random = createRandom(i)
    const data = Uint8Array.from({ length: 40 * 30 * 3 }, () => random() * 256)
    await sharp(data, { raw: { width: 40, height: 30, channels: 3 } }).toFile(path)
  }
})
test.after.always(() => rm(folder, { recursive: true, force: true }))

/** Runs `body` with a loaded model and fails when it leaves tensors behind. */
async function withCaptioner(
  path: string,
  body: (captioner: Captioner) => Promise<void>,
): Promise<number> {
  await synchronize(cpu)
  const before = memory(cpu).liveTensors
  const captioner = await loadCaptioner(path, { device: 'cpu' })
  await body(captioner)
  captioner.close()
  await synchronize(cpu)
  return memory(cpu).liveTensors - before
}

async function captionsOf(captioner: Captioner, options: CaptionOptions, batchSize: number) {
  const found: (Caption | undefined)[] = []
  for await (const result of captioner.captionAll(pictures(), { ...options, batchSize }))
    found.push(result.error ? undefined : result)
  return found
}

for (const options of [
  { beam: 3, noRepeatNgram: 1, prefix: 'word1 word2' },
  { temperature: 2, typicalP: 0.9, tau: 0.7, numCaptions: 2, frequencyPenalty: 1 },
] satisfies CaptionOptions[])
  test(`the size of batches does not change a result: ${JSON.stringify(options)}`, async (t) => {
    const left = await withCaptioner(model(), async (captioner) => {
      const tokens = async (size: number) =>
        (await captionsOf(captioner, options, size)).map((found) => found?.tokens)
      const alone = await tokens(1)
      t.true(new Set(alone.map(String)).size > 1)
      for (const size of [2, 5]) t.deepEqual(await tokens(size), alone)
    })
    t.is(left, 0)
  })

test('generation.json may sample, and a beam searches all the same', async (t) => {
  const left = await withCaptioner(sampler(), async (captioner) => {
    const [picture = ''] = pictures()
    const drawn = await captioner.caption(picture)
    t.true(drawn.text.startsWith('word8'))
    t.deepEqual(await captioner.caption(picture, { seed: 4 }), drawn)
    t.notDeepEqual(await captioner.caption(picture, { seed: 5 }), drawn)
    const searched = await captioner.caption(picture, { beam: 2, prefix: '' })
    t.deepEqual(await captioner.caption(picture, { beam: 2, prefix: '', seed: 9 }), searched)
    t.false(searched.text.startsWith('word8'))
  })
  t.is(left, 0)
})

test('a stream grows word by word and ends with the whole caption', async (t) => {
  const left = await withCaptioner(model(), async (captioner) => {
    const [picture = ''] = pictures()
    const ways: readonly CaptionOptions[] = [
      { beam: 1, minTokens: 4 },
      { beam: 4, numCaptions: 2 },
      { topK: 9, seed: 2, prefix: 'word5 word6', attention: true },
    ]
    for (const options of ways) {
      const items: CaptionProgress[] = []
      for await (const item of captioner.captionStream(picture, options)) items.push(item)
      const last = items.pop()
      const expected = await captioner.caption(picture, options)
      t.deepEqual(last, { done: true, ...expected })
      t.true(items.length > 1 && items.every(({ done }) => !done))
      if (options.beam !== 4)
        for (const [i, { text }] of items.entries()) t.true(expected.text.startsWith(text), `${i}`)
    }
  })
  t.is(left, 0)
})

test('a stream that is aborted or left frees what it had', async (t) => {
  const left = await withCaptioner(model(), async (captioner) => {
    const [picture = ''] = pictures()
    const controller = new AbortController()
    const options = { minTokens: 8, signal: controller.signal }
    let items = 0
    const error = await t.throwsAsync(
      (async () => {
        for await (const { done } of captioner.captionStream(picture, options)) {
          t.false(done)
          if (++items === 2) controller.abort(new Error('enough'))
        }
      })(),
    )
    t.is(error?.message, 'enough')
    t.is(items, 2)
    for await (const _ of captioner.captionStream(picture, { minTokens: 8 })) break
    await t.throwsAsync(captioner.captionStream(picture, { beam: 0 }).next(), {
      message: /expected beam/,
    })
    await t.throwsAsync(captioner.captionStream(join(folder, 'none.png')).next(), {
      code: 'ERR_IMAGE',
    })
    await t.throwsAsync(captioner.captionStream(picture, options).next(), { message: 'enough' })
  })
  t.is(left, 0)
})

test('attention: shares of every cell for each token, alike alone and in a batch', async (t) => {
  const left = await withCaptioner(model(), async (captioner) => {
    const options = { beam: 3, numCaptions: 2, attention: true }
    const together = await captionsOf(captioner, options, 5)
    for (const [i, found] of together.entries()) {
      const alone = await captioner.caption(pictures()[i] ?? '', options)
      t.is(found?.text, alone.text)
      t.is(found?.captions?.[0]?.attention, found?.attention)
      for (const caption of found?.captions ?? []) {
        const {
          words = [],
          side = 0,
          extra,
          weights = new Float32Array(),
        } = caption.attention ?? {}
        t.is(words.join(' '), caption.text)
        t.is(extra, 0)
        const cells = side * side
        t.is(weights.length, words.length * cells)
        for (let word = 0; word < words.length; word++) {
          const row = weights.subarray(word * cells, (word + 1) * cells)
          t.true(Math.abs(row.reduce((sum, x) => sum + x, 0) - 1) < 1e-5)
        }
      }
      const [a, b] = [alone.attention?.weights ?? [], found?.attention?.weights ?? []]
      t.true(a.length > 0 && a.every((x, n) => Math.abs(x - (b[n] ?? 2)) < 1e-5))
    }
    const rows = together.map((found) => found?.attention?.weights.join())
    t.is(new Set(rows).size, rows.length)
    t.is((await captioner.caption(pictures()[0] ?? '', { beam: 3 })).attention, undefined)
  })
  t.is(left, 0)
})

test('the command: a prefix, rules, and attention as files', async (t) => {
  const heat = join(folder, 'heat')
  const words = ['--model', model(), '--prefix', 'word3', '--no-repeat-ngram=1', '--beam=2']
  const flags = [...words, '--attention', heat, '--num-captions=2', '--json']
  const [first = '', second = ''] = pictures()
  const { code, stdout, stderr } = await cli(['caption', first, second, first, ...flags])
  t.is(code, 0, stderr)
  const { results } = JSON.parse(stdout)
  const names = (await readdir(heat)).sort()
  const stems = ['picture 0', 'picture 0-2', 'picture 1']
  t.deepEqual(names, stems.flatMap((stem) => [`${stem}.json`, `${stem}.png`]).sort())
  t.deepEqual(Object.keys(results[0]).sort(), [
    'attention',
    'caption',
    'captions',
    'image',
    'score',
    'tokens',
  ])
  t.is(results[1].attention, join(heat, 'picture 1.png'))
  t.deepEqual(Object.keys(results[0].captions[0]).sort(), ['score', 'text'])
  t.regex(results[0].caption, /^word3/)
  for (const { caption } of results) {
    const said = caption.split(' ')
    t.is(new Set(said).size, said.length, 'no word comes twice')
  }
  const json = JSON.parse(await readFile(join(heat, 'picture 1.json'), 'utf8'))
  t.is(json.caption, results[1].caption)
  t.is(json.words.length, json.weights.length)
  for (const row of json.weights) t.is(row.length, json.extra + json.side ** 2)
  const { format, width = 0, height = 0 } = await sharp(join(heat, 'picture 1.png')).metadata()
  t.is(format, 'png')
  t.true(width > 176 && height > 176)
  const wrong = await cli(['caption', first, '--model', model(), '--prefix', 'word3 zebra'])
  t.is(wrong.code, 2)
  t.regex(wrong.stderr, /"zebra" is not in its vocabulary/)
})
