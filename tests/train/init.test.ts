/** Starting from the model of another run: what is taken over, what must fit, and what is said of the rest. */
import { mkdtempSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { readSafetensors } from '../../ts/files/safetensors.js'
import { resolveConfig } from '../../ts/train/resolve-config.js'
import { train } from '../../ts/train/train.js'
import { smallData, smallRun } from './small-run.js'

const folder = mkdtempSync(join(tmpdir(), 'captioneer-init-'))
const first = join(folder, 'first')
let data = ''
test.before(async () => {
  data = await smallData(folder)
  await train({ ...smallRun(data, first), maxSteps: 3 })
})
test.after.always(() => rm(folder, { recursive: true, force: true }))

const tensorsOf = (run: string) => readSafetensors(join(run, 'model.safetensors'))
const tokenizerOf = (run: string) => readFile(join(run, 'tokenizer.json'), 'utf8')

/** One step with a learning rate that changes nothing. */
async function stepFrom(out: string, settings: Readonly<Record<string, unknown>>) {
  const { data: _data, preset, model, ...rest } = smallRun(data, out)
  const messages: string[] = []
  await train({
    ...rest,
    data,
    init: first,
    maxSteps: 1,
    validation: { every: 1, captions: 0 },
    'optimizer.learningRate': 1e-30,
    ...settings,
    onEvent: (event) => event.kind === 'message' && messages.push(event.text),
  })
  return messages.join('\n')
}

test.serial('weights, words and settings of the model are taken over', async (t) => {
  const out = join(folder, 'strict')
  const told = await stepFrom(out, { 'tokenizer.minCount': 9 })
  t.regex(told, /^starting from .*first: \d+ tensors$/m)
  t.is(await tokenizerOf(out), await tokenizerOf(first))
  const [before, after] = [await tensorsOf(first), await tensorsOf(out)]
  t.deepEqual([...after.tensors.keys()].sort(), [...before.tensors.keys()].sort())
  for (const name of before.tensors.keys())
    if (!name.includes('running_')) t.deepEqual(after.float32(name), before.float32(name), name)
})

test.serial('another model or words are refused, unless what fits is enough', async (t) => {
  const larger = { 'model.decoder.feedForward': 96 }
  const error = await t.throwsAsync(stepFrom(join(folder, 'refused'), larger), {
    code: 'ERR_CHECKPOINT',
  })
  t.regex(
    error?.message ?? '',
    /does not fit this one: decoder\.layers\.0\.linear1\.weight \(\[64, 32\] there, \[96, 32\] here\).*--initStrict false/,
  )
  const out = join(folder, 'part')
  const { model, preset } = smallRun(data, out)
  const told = await stepFrom(out, {
    preset,
    model,
    initStrict: false,
    ...larger,
    'tokenizer.maxSize': 16,
  })
  t.regex(told, /start anew: .*decoder\.embedding\.weight/)
  const [before, after] = [await tensorsOf(first), await tensorsOf(out)]
  const name = 'decoder.layers.0.self_attn.in_proj_weight'
  t.deepEqual(after.float32(name), before.float32(name))
  t.is(after.tensors.get('decoder.layers.0.linear1.weight')?.shape[0], 96)
  t.not(await tokenizerOf(out), await tokenizerOf(first), 'the words are those of the data')
})

test('the model of init stands between the preset and what is given', (t) => {
  const overrides = { data: { path: '.' }, init: first, 'model.decoder.dropout': 0.3 }
  const config = resolveConfig({ preset: 'resnet18-transformer', overrides })
  t.is(config.model.encoder.name, 'tiny')
  t.is(config.model.decoder.dim, 32)
  t.is(config.model.decoder.dropout, 0.3)
  t.is(config.optimizer.learningRate, 5e-4, 'the rest is the preset’s')
  const loose = resolveConfig({
    preset: 'resnet18-transformer',
    overrides: { ...overrides, initStrict: false },
  })
  t.is(loose.model.encoder.name, 'resnet18')
  t.throws(() => resolveConfig({ overrides: { ...overrides, init: folder } }), {
    message: /reading .*config\.json: no such file/,
  })
})
