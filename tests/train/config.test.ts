import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { ArgumentError } from '../../ts/errors.js'
import { presetNames, presets } from '../../ts/models/presets.js'
import { createRandom } from '../../ts/random.js'
import { expandAliases } from '../../ts/train/aliases.js'
import { configToYaml } from '../../ts/train/config.js'
import { isBetter, metricOf } from '../../ts/train/metric.js'
import { type ConfigSources, resolveConfig, resolveModel } from '../../ts/train/resolve-config.js'
import { temporaryFolder } from '../files/temporary-folder.js'

const data = { path: 'flickr8k' }

test('every preset is valid and keeps what it says', (t) => {
  for (const preset of presetNames) {
    const config = resolveConfig({ preset, overrides: { data } })
    t.is(config.preset, preset)
    t.like(config, presets[preset])
    t.is(config.data.path, 'flickr8k')
  }
})

test('defaults: the preset for photographs, and nothing optional', (t) => {
  const config = resolveConfig({ overrides: { data } })
  t.is(config.preset, 'mobilenetv2-transformer')
  t.is(config.model.encoder.padding, 'same')
  t.deepEqual(config.validation, {
    metric: undefined,
    every: 'epoch',
    images: 1000,
    captions: 200,
    samples: 4,
    beam: 3,
  })
  t.is(config.maxSteps, undefined)
  t.is(config.earlyStopping, undefined)
})

test('later sources win: defaults, preset, file, overrides, flags', async (t) => {
  const file = join(await temporaryFolder(t), 'run.yaml')
  writeFileSync(
    file,
    'preset: tiny\nseed: 1\nepochs: 2\nbatchSize: 3\ndata: { path: a, seed: 4 }\n' +
      'optimizer:\n  learningRate: 1e-4\nearlyStopping:\n  patience: 2\n',
  )
  const config = resolveConfig({
    file,
    overrides: { epochs: 20, 'data.path': 'b', optimizer: { beta1: 0.5 }, seed: undefined },
    flags: { batchSize: '30', 'data.path': '123', 'data.captionsPerImage': 'all', image: 'false' },
  })
  t.like(config, {
    preset: 'tiny',
    seed: 1,
    epochs: 20,
    batchSize: 30,
    image: false,
    data: { path: '123', seed: 4, captionsPerImage: 'all' },
    optimizer: { learningRate: 1e-4, beta1: 0.5, labelSmoothing: 0 },
    earlyStopping: { patience: 2 },
    model: { decoder: { dim: 96 } },
  })
  const other = resolveConfig({ preset: 'resnet18-transformer', file })
  t.is(other.model.encoder.name, 'resnet18', 'a preset given beside a file replaces its preset')
  t.is(other.optimizer.learningRate, 1e-4, 'and the values of the file stay')
})

test('null takes a key or a section back to its default', (t) => {
  const overrides = { data, 'model.decoder': null, maxSteps: 5, 'earlyStopping.patience': 3 }
  const flags = { maxSteps: 'null', earlyStopping: 'null' }
  const config = resolveConfig({ preset: 'tiny', overrides, flags })
  t.is(config.model.decoder.dim, 256)
  t.is(config.model.image.size, 64)
  t.is(config.maxSteps, undefined)
  t.is(config.earlyStopping, undefined)
})

test('the YAML of a config gives the config back', async (t) => {
  const file = join(await temporaryFolder(t), 'config.yaml')
  for (const preset of presetNames) {
    const overrides = {
      data: { path: '1e3', captionsPerImage: 2 },
      earlyStopping: { patience: 4 },
      encoderWeights: 'null',
      'optimizer.epsilon': 1.0000000000000002e-8,
      'validation.every': 100,
    }
    const config = resolveConfig({ preset, overrides })
    writeFileSync(file, configToYaml(config))
    t.deepEqual(resolveConfig({ file }), config)
  }
})

test('a config cannot be changed', (t) => {
  const config = resolveConfig({ overrides: { data } })
  for (const part of [config, config.model, config.model.decoder, config.model.image.mean]) {
    t.true(Object.isFrozen(part))
  }
})

test('resolveModel needs no data', (t) => {
  t.is(resolveModel({ preset: 'tiny' }).decoder.dim, 96)
  t.is(resolveModel({ flags: { 'model.decoder.layers': '7' } }).decoder.layers, 7)
})

test('validations are compared by loss, by CIDEr-D in self-critical training, or as asked', (t) => {
  const config = resolveConfig({ overrides: { data } })
  t.is(metricOf(config), 'loss')
  const critical = resolveConfig({
    overrides: { 'data.path': 'x', init: 'x', initStrict: false, 'selfCritical.samples': 3 },
  })
  t.deepEqual(critical.selfCritical, {
    draw: 'beam',
    samples: 3,
    temperature: 1,
    weight: 1,
  })
  t.is(metricOf(critical), 'cider')
  const asked = resolveConfig({ overrides: { data, 'validation.metric': 'bleu4' } })
  t.is(metricOf(asked), 'bleu4')
  const best = { loss: 2, bleu4: 0.2, cider: 0.5 }
  t.true(isBetter('loss', best, null))
  t.false(isBetter('loss', { ...best, loss: Number.NaN }, null))
  t.true(isBetter('loss', { ...best, loss: 1.9 }, best))
  t.false(isBetter('loss', best, best))
  t.false(isBetter('cider', { ...best, loss: 1.9 }, best))
  t.true(isBetter('cider', { ...best, cider: 0.6 }, best))
})

const refusals: [ConfigSources, string][] = [
  [{}, 'config: expected data.path to be the path of a data set, received undefined'],
  [
    { overrides: { data: { path: 5 } } },
    'config: expected data.path to be the path of a data set, received 5',
  ],
  [
    { preset: 'tinny' },
    `config: expected preset to be one of ${presetNames.map((name) => `"${name}"`).join(', ')}, received "tinny"; did you mean "tiny"?`,
  ],
  [
    { overrides: { 'optimizer.learningrate': 1 } },
    'config: unknown key "optimizer.learningrate"; did you mean "optimizer.learningRate" (a number above 0, at most 10)?',
  ],
  [
    { flags: { learningRate: '1' } },
    'config: unknown key "learningRate"; did you mean "optimizer.learningRate" (a number above 0, at most 10)?',
  ],
  [
    { overrides: { model: { decodr: {} } } },
    'config: unknown key "model.decodr"; did you mean "model.decoder"?',
  ],
  [
    { overrides: { optimizer: { learningRate: 'fast' } } },
    'config: expected optimizer.learningRate to be a number above 0, at most 10, received "fast"',
  ],
  [
    { overrides: { epochs: 0 } },
    'config: expected epochs to be an integer from 1 to 1000000, received 0',
  ],
  [
    { overrides: { epochs: 1.5 } },
    'config: expected epochs to be an integer from 1 to 1000000, received 1.5',
  ],
  [
    { overrides: { epochs: '3' } },
    'config: expected epochs to be an integer from 1 to 1000000, received "3"',
  ],
  [
    { flags: { epochs: '[1,' } },
    'config: expected epochs to be an integer from 1 to 1000000, received "[1,"',
  ],
  [
    { overrides: { seed: Number.NaN } },
    'config: expected seed to be an integer from 0 to 4294967295, received NaN',
  ],
  [
    { overrides: { 'model.image.mean': [0.5, 0.5] } },
    'config: expected model.image.mean to be three numbers from 0 to 1, received [0.5,0.5]',
  ],
  [
    { overrides: { 'model.decoder.dropout': 1 } },
    'config: expected model.decoder.dropout to be a number from 0, below 1, received 1',
  ],
  [
    { overrides: { 'data.captionsPerImage': 0 } },
    'config: expected data.captionsPerImage to be "all" or an integer from 1 to 100, received 0',
  ],
  [
    { overrides: { earlyStopping: 3 } },
    'config: expected earlyStopping to be a section with patience, received 3',
  ],
  [
    { overrides: { data, 'model.decoder.heads': 7 } },
    'config: expected model.decoder.heads to be a divisor of model.decoder.dim (256), received 7',
  ],
  [
    { overrides: { data, model: { decoder: { dim: 9, heads: 3, positions: 'sinusoidal' } } } },
    'config: expected model.decoder.dim to be even with sinusoidal positions, received 9',
  ],
  [
    { overrides: { data, 'selfCritical.samples': 5 } },
    'config: expected init to be a model folder when selfCritical is given, as captions of an untrained model earn no rewards, received undefined',
  ],
  [
    { overrides: { data, validation: { metric: 'cider', captions: 0 } } },
    'config: expected validation.captions to be at least 1 when validations are compared by cider, received 0',
  ],
  [
    { overrides: { data, 'optimizer.name': 'adamax' } },
    'config: expected optimizer.name to be one of "adamw", "adam", "adabeliefw", "adabelief", "sgdm", received "adamax"; did you mean "adamw"?',
  ],
  [
    { preset: 'tiny', overrides: { data, cacheFeatures: true } },
    'config: expected freezeEncoder to be true when cacheFeatures is true, as features of a changing encoder cannot be kept, received false',
  ],
]

for (const [sources, message] of refusals) {
  test(message, (t) => {
    t.throws(() => resolveConfig(sources), { instanceOf: ArgumentError, message })
  })
}

test('a key like no other lists what there is, and no prototype is touched', (t) => {
  for (const key of ['__proto__', 'constructor', 'zzzzzzzz', '', '__proto__.polluted']) {
    const overrides = Object.fromEntries([[key, { polluted: true }]])
    const error = t.throws(() => resolveConfig({ overrides }), { instanceOf: ArgumentError })
    t.true(
      error?.message.startsWith(`config: unknown key "${key}"; expected one of preset, model,`),
    )
  }
  t.false('polluted' in {})
})

test('a config file is named: missing, no YAML, no mapping, a wrong value', async (t) => {
  const file = join(await temporaryFolder(t), 'run.yaml')
  const refusedAs = (message: string | RegExp) =>
    t.throws(() => resolveConfig({ file }), { instanceOf: ArgumentError, message })
  refusedAs(`reading ${file}: no such file or folder. Check the path (ENOENT)`)
  writeFileSync(file, 'epochs: [1\nseed: 2\n')
  refusedAs(/^reading .*run\.yaml: not valid YAML: .* at line 2/)
  writeFileSync(file, 'epochs: 1\nepochs: 2\n')
  refusedAs(/^reading .*run\.yaml: not valid YAML: Map keys must be unique at line 2/)
  writeFileSync(file, '- epochs\n')
  refusedAs(`reading ${file}: expected the file to be a list of "key: value", received ["epochs"]`)
  writeFileSync(file, 'epochs: -1\n')
  refusedAs(`${file}: expected epochs to be an integer from 1 to 1000000, received -1`)
})

test('1000 damaged config files: an ArgumentError or a valid config', async (t) => {
  const file = join(await temporaryFolder(t), 'run.yaml')
  const original = configToYaml(resolveConfig({ preset: 'tiny', overrides: { data } }))
  const random = createRandom(3)
  const below = (n: number) => Math.floor(random() * n)
  const pieces = [
    '-',
    ': ',
    '0',
    '9e99',
    '\n',
    '__proto__: {a: 1}\n',
    '{',
    '[',
    '&a ',
    '*a',
    '"',
    'null',
    '!!set ',
  ]
  let refused = 0
  for (let i = 0; i < 1000; i++) {
    const at = below(original.length)
    const piece = pieces[below(pieces.length)] ?? ''
    writeFileSync(file, original.slice(0, at) + piece + original.slice(at + below(3)))
    try {
      resolveConfig({ file })
    } catch (error) {
      if (!(error instanceof ArgumentError)) throw error
      refused++
    }
  }
  t.log(`${refused} refused, ${1000 - refused} read`)
  t.true(refused > 500 && refused < 1000)
  t.false('a' in {})
})

test('the nine flags of the Keras trainer are aliases', (t) => {
  const flags = expandAliases({
    preset: 'efficientnetb1-transformer-s',
    seq_length: '30',
    batch_size: '64',
    epochs: '20',
    embed_dim: '768',
    ff_dim: '384',
    enc_heads: '3',
    dec_heads: '6',
    artifact_dir: './local_runs/default_run',
    lr: '0.0005',
    'data.path': 'x',
  })
  const plain = resolveConfig({ preset: 'efficientnetb1-transformer-s', overrides: { data } })
  t.deepEqual(resolveConfig({ flags }), {
    ...plain,
    batchSize: 64,
    epochs: 20,
    out: './local_runs/default_run',
    data: { ...plain.data, path: 'x' },
    optimizer: { ...plain.optimizer, learningRate: 0.0005 },
    model: {
      ...plain.model,
      decoder: {
        ...plain.model.decoder,
        maxTokens: 30,
        dim: 768,
        headSize: 768,
        feedForward: 384,
        memoryHeads: 3,
        heads: 6,
      },
    },
  })
})

test('aliases set their keys with any preset, and choose nothing else', (t) => {
  t.deepEqual(expandAliases({ embed_dim: '512', dec_heads: '4' }), {
    'model.decoder.dim': '512',
    'model.decoder.heads': '4',
  })
  const given = expandAliases({
    preset: 'efficientnetb1-transformer-l',
    embed_dim: '512',
    'model.decoder.headSize': '64',
  })
  t.is(given['model.decoder.headSize'], '64')
  t.throws(() => expandAliases({ lr: '1', 'optimizer.learningRate': '2' }), {
    instanceOf: ArgumentError,
    message:
      'flag --optimizer.learningRate: optimizer.learningRate is given twice. Leave one of the two out',
  })
})

test('--enc_heads is refused where there is no block for them', (t) => {
  const flags = expandAliases({ enc_heads: '4', 'data.path': 'x' })
  t.throws(() => resolveConfig({ flags }), {
    instanceOf: ArgumentError,
    message:
      'config: expected model.decoder.memoryHeads (--enc_heads) to be left out where model.decoder.memory is not "block", as the presets efficientnetb1-transformer-* have it, received "4"',
  })
  const block = resolveConfig({ flags: { ...flags, 'model.decoder.memory': 'block' } })
  t.is(block.model.decoder.memoryHeads, 4)
})
