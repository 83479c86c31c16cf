/** evaluate() on a model trained for a moment: figures that agree with each other and with caption(), bad input, memory. */
import { mkdtempSync } from 'node:fs'
import { copyFile, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { loadCaptioner } from '../../ts/captioner.js'
import { readDataset, splitOf } from '../../ts/data/dataset.js'
import { type EvaluateResult, evaluate } from '../../ts/evaluate/evaluate.js'
import { derangement, measure } from '../../ts/evaluate/measure.js'
import { splitSettings } from '../../ts/evaluate/run-split.js'
import { loadParams, releaseParams } from '../../ts/models/inference.js'
import { readModelFolder } from '../../ts/models/model-folder.js'
import { openDevice } from '../../ts/native.js'
import { memory } from '../../ts/tensor.js'
import { configToYaml } from '../../ts/train/config.js'
import { resolveConfig } from '../../ts/train/resolve-config.js'
import { train } from '../../ts/train/train.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { smallData, smallRun } from '../train/small-run.js'

const folder = mkdtempSync(join(tmpdir(), 'captioneer-evaluate-'))
const model = join(folder, 'model')
const textOnly = join(folder, 'text-only')
let data = ''
let result: EvaluateResult
test.before(async () => {
  data = await smallData(folder)
  await train(smallRun(data, model))
  await train({ ...smallRun(data, textOnly), image: false })
  result = await evaluate({ model, data, beam: 2, device: 'cpu' })
})
test.after.always(() => rm(folder, { recursive: true, force: true }))

const near = (a: number | undefined, b: number | undefined, most = 1e-5) =>
  a !== undefined && b !== undefined && Math.abs(a - b) <= most

test('every figure is there, in its range, and between its bounds', (t) => {
  t.is(result.images, 6)
  t.is(result.predictions.length, 6)
  t.is(result.split, 'val')
  t.is(result.skipped, 0)
  t.like(result.decoding, { beam: 2, maxTokens: 30, lengthPenalty: 0.7 })
  t.true(near(result.perplexity, Math.exp(result.loss)))
  // After twelve steps the first guess may always be wrong.
  t.true(result.tokenAccuracy >= 0 && result.tokenAccuracy <= result.tokenAccuracy5)
  t.true(result.tokenAccuracy5 > 0 && result.tokenAccuracy5 <= 1)
  t.is(result.bleu.length, 4)
  const { intervals, loss, bleu, rougeL, cider, meteorExactStemSynonym } = result
  for (const [interval, value] of [
    [intervals.loss, loss],
    [intervals.bleu4, bleu[3] ?? Number.NaN],
    [intervals.rougeL, rougeL],
    [intervals.cider, cider],
    [intervals.meteorExactStemSynonym, meteorExactStemSynonym],
  ] as const)
    t.true(interval.low <= value && value <= interval.high)
  const { constant, random, human } = result.floors
  for (const floor of [constant, random, human]) t.is(floor?.bleu.length, 4)
  t.true(constant.caption.length > 0)
  t.true(result.captionsPerSecond > 0)
  const mean = result.predictions.reduce((sum, one) => sum + one.cider, 0) / 6
  t.true(near(mean, result.cider))
  t.is(
    result.lengths.reduce((sum, count) => sum + count, 0),
    6,
  )
  t.true((result.novel ?? -1) >= 0 && (result.novel ?? 2) <= 1)
  t.is(result.best.length, 3)
  t.true((result.best[0]?.cider ?? -1) >= (result.worst[0]?.cider ?? 11))
  const exact = result.predictions.filter(({ exactMatch }) => exactMatch).length
  t.is(result.exactMatch, exact / 6)
})

test('captions are those of a captioner, whatever the batch', async (t) => {
  using captioner = await loadCaptioner(model, { device: 'cpu' })
  for (const { path, caption, score } of result.predictions) {
    const alone = await captioner.caption(path, { beam: 2 })
    t.is(alone.text, caption)
    t.true(near(alone.score, score, 1e-4))
  }
  const again = await evaluate({ model, data, beam: 2, batchSize: 4, device: 'cpu' })
  t.true(near(again.loss, result.loss))
  t.true(near(again.shuffledLoss, result.shuffledLoss))
  t.is(again.cider, result.cider)
})

test('the same seed gives the same result, another one other wrong images', async (t) => {
  const options = { model, data, beam: 2, device: 'cpu' } as const
  const { captionsPerSecond, ...again } = await evaluate(options)
  const { captionsPerSecond: _, ...first } = result
  t.deepEqual(again, first)
  const other = await evaluate({ ...options, seed: 1 })
  t.is(other.loss, result.loss)
  t.not(other.shuffledLoss, result.shuffledLoss)
})

test('in parts, as images that do not fit in memory are, losses and captions are the same', async (t) => {
  const device = openDevice('cpu')
  const read = await readModelFolder(model)
  const params = loadParams(read, device)
  t.teardown(() => releaseParams(params))
  const images = splitOf(await readDataset(data), 'train')
  const seen = new Set<string>()
  const run = (partBytes: number) =>
    measure({
      folder: read,
      params,
      device,
      images,
      decoding: { beam: 1 },
      batchSize: 4,
      seed: 0,
      partBytes,
      onProgress: ({ phase, done, total }) => seen.add(`${phase} ${done} ${total}`),
    })
  const [whole, parts] = [await run(2 ** 30), await run(1)]
  t.true(near(whole.loss.loss, parts.loss.loss))
  t.is(whole.loss.tokens, parts.loss.tokens)
  t.is(parts.shuffledLoss?.perImage.length, images.length)
  t.deepEqual(
    parts.captions.map(({ text }) => text),
    whole.captions.map(({ text }) => text),
  )
  for (const phase of ['features', 'loss', 'captions']) t.true(seen.has(`${phase} 24 24`), phase)
})

test('a text-only model has no wrong images', async (t) => {
  const { shuffledLoss, intervals, images, predictions } = await evaluate({
    model: textOnly,
    data,
    beam: 1,
    device: 'cpu',
  })
  t.is(shuffledLoss, undefined)
  t.is(intervals.shuffledMinusLoss, undefined)
  t.is(images, 6)
  t.is(new Set(predictions.map(({ caption }) => caption)).size, 1)
})

test('a text-only model beside it: its loss, and what the image is worth', async (t) => {
  const beside = await evaluate({ model, data, beam: 1, textOnly, device: 'cpu' })
  const alone = await evaluate({ model: textOnly, data, beam: 1, device: 'cpu' })
  t.true(near(beside.textOnlyLoss, alone.loss))
  const { low, high } = beside.intervals.textOnlyMinusLoss ?? { low: 1, high: 0 }
  t.true(low <= alone.loss - beside.loss && alone.loss - beside.loss <= high)
  await t.throwsAsync(evaluate({ model, data, textOnly: model, device: 'cpu' }), {
    code: 'ERR_ARGUMENT',
    message: /expected textOnly to be a model trained without images/,
  })
  const other = join(await temporaryFolder(t), 'other')
  await cp(textOnly, other, { recursive: true })
  const path = join(other, 'tokenizer.json')
  await writeFile(path, (await readFile(path, 'utf8')).replace('"red"', '"crimson"'))
  await t.throwsAsync(evaluate({ model, data, textOnly: other, device: 'cpu' }), {
    code: 'ERR_ARGUMENT',
    message: /the tokenizers of .* differ/,
  })
})

test('all options of decoding reach the search and are in the result', async (t) => {
  const sample = { model, data, temperature: 2, topK: 20, maxTokens: 8, device: 'cpu' } as const
  const drawn = await evaluate({ ...sample, seed: 4 })
  t.like(drawn.decoding, { beam: 1, temperature: 2, topK: 20, maxTokens: 8, seed: 4 })
  const texts = ({ predictions }: EvaluateResult) => predictions.map(({ caption }) => caption)
  t.deepEqual(texts(await evaluate({ ...sample, seed: 4, batchSize: 4 })), texts(drawn))
  t.notDeepEqual(texts(await evaluate({ ...sample, seed: 5 })), texts(drawn))
  const prefixed = await evaluate({ model, data, prefix: 'a red', device: 'cpu' })
  t.is(prefixed.decoding.prefix, 'a red')
  t.true(texts(prefixed).every((text) => text.startsWith('a red')))
})

test('a model that samples by default: a search tells the options of searches alone', async (t) => {
  const sampler = join(await temporaryFolder(t), 'sampler')
  await cp(model, sampler, { recursive: true })
  const defaults = { beam: 3, temperature: 0.7, topK: 20, repetitionPenalty: 1.1 }
  await writeFile(join(sampler, 'generation.json'), JSON.stringify(defaults))
  const { decoding } = await evaluate({ model: sampler, data, beam: 2, device: 'cpu' })
  t.like(decoding, { beam: 2, repetitionPenalty: 1.1 })
  t.false('temperature' in decoding || 'topK' in decoding)
  // So they can be given again, as the report's heat maps do.
  await t.notThrowsAsync(evaluate({ model: sampler, data, ...decoding, device: 'cpu' }))
})

test('images that cannot be decoded are left out and counted; none left is an error', async (t) => {
  const copy = join(await temporaryFolder(t), 'data')
  await cp(data, copy, { recursive: true })
  const paths = splitOf(await readDataset(copy), 'val').map(({ path }) => path)
  await writeFile(paths[0] ?? '', '')
  const some = await evaluate({ model, data: copy, beam: 1, device: 'cpu' })
  t.is(some.images, 5)
  t.is(some.skipped, 1)
  t.regex(some.warnings[0] ?? '', /it is empty/)
  t.false(some.predictions.some(({ path }) => path === paths[0]))
  for (const path of paths) await writeFile(path, '')
  await t.throwsAsync(evaluate({ model, data: copy, device: 'cpu' }), {
    code: 'ERR_DATA',
    message: /none of the 6 images can be decoded/,
  })
})

test('one image: no wrong one to compare with', async (t) => {
  const one = await evaluate({ model, data, limit: 1, beam: 1, device: 'cpu' })
  t.is(one.images, 1)
  t.is(one.shuffledLoss, undefined)
  t.true(Number.isFinite(one.loss))
})

test('wrong options and an empty split are refused', async (t) => {
  const refused = (options: object, message: RegExp, code = 'ERR_ARGUMENT') =>
    t.throwsAsync(evaluate({ model, data, device: 'cpu', ...options }), { code, message })
  await refused({ split: 'dev' }, /expected split to be "train", "val" or "test", received "dev"/)
  await refused({ limit: 0 }, /expected limit/)
  await refused({ batchSize: 1.5 }, /expected batchSize/)
  await refused({ seed: -1 }, /expected seed/)
  await refused({ beam: 0 }, /expected beam/)
  await refused({ meteorJar: 'no.jar' }, /METEOR: expected no\.jar to be its jar/)
  await refused({ split: 'test' }, /only 24 in "train" and 6 in "val"/, 'ERR_DATA')
  await refused({ model: join(folder, 'nothing') }, /config\.json/, 'ERR_CHECKPOINT')
})

test.serial('an aborted signal ends it, and memory is freed however it ends', async (t) => {
  const device = openDevice('cpu')
  const { liveTensors } = memory(device)
  await evaluate({ model, data, limit: 2, device: 'cpu' })
  const reason = new Error('enough')
  const controller = new AbortController()
  const run = evaluate({
    model,
    data,
    device: 'cpu',
    batchSize: 2,
    signal: controller.signal,
    onProgress: ({ phase }) => phase === 'captions' && controller.abort(reason),
  })
  t.is(await t.throwsAsync(run), reason)
  t.is(memory(device).liveTensors, liveTensors)
})

test('data without splits are split as the run split them', async (t) => {
  const out = await temporaryFolder(t)
  t.deepEqual(await splitSettings(out), {})
  const overrides = { 'data.path': '.', 'data.seed': 7, 'data.valFraction': 0.25 }
  await writeFile(join(out, 'config.yaml'), configToYaml(resolveConfig({ overrides })))
  t.deepEqual(await splitSettings(out), { seed: 7, valFraction: 0.25 })
  await writeFile(join(out, 'config.yaml'), 'data: 3')
  await t.throwsAsync(splitSettings(out), { code: 'ERR_CHECKPOINT', message: /config\.yaml/ })

  const csv = join(out, 'csv')
  await mkdir(csv)
  const images = (await readDataset(data)).images
  for (const { path, id } of images) await copyFile(path, join(csv, id))
  const rows = images.map(({ id, captions }) => `${id},${captions[0]}`)
  await writeFile(join(csv, 'captions.csv'), ['image,caption', ...rows, ''].join('\n'))
  const run = join(out, 'run')
  await cp(model, run, { recursive: true })
  const seeded = configToYaml(resolveConfig({ overrides: { 'data.path': '.', 'data.seed': 5 } }))
  await writeFile(join(run, 'config.yaml'), seeded)
  const held = splitOf(await readDataset(csv, { seed: 5 }), 'val').map(({ id }) => id)
  t.notDeepEqual(
    held,
    splitOf(await readDataset(csv), 'val').map(({ id }) => id),
  )
  const { predictions, exactMatch } = await evaluate({ model: run, data: csv, device: 'cpu' })
  t.deepEqual(
    predictions.map(({ image }) => image),
    held,
  )
  t.is(exactMatch, undefined)
})

test('a derangement is a permutation that leaves nothing in its place', (t) => {
  for (const n of [2, 3, 5, 100]) {
    for (let seed = 0; seed < 20; seed++) {
      const partner = Array.from(derangement(n, seed))
      t.deepEqual(
        [...partner].sort((a, b) => a - b),
        Array.from({ length: n }, (_, i) => i),
      )
      t.false(partner.some((to, from) => to === from))
    }
  }
  t.notDeepEqual(derangement(100, 0), derangement(100, 1))
})
