/** The presets of other systems have the sizes that those systems published, to the unit. */
import test from 'ava'
import { buildModel, frozenStages, isTrained, modelSpecs } from '../../ts/models/model.js'
import { countParameters } from '../../ts/models/params.js'
import { type PresetName, presetNames } from '../../ts/models/presets.js'
import { resolveConfig } from '../../ts/train/resolve-config.js'

interface Counts {
  readonly encoder: number
  readonly decoder: number
  readonly trainable: number
}

function counts(preset: PresetName, vocabulary: number, overrides: object = {}): Counts {
  const config = resolveConfig({ preset, overrides: { 'data.path': '.', ...overrides } })
  const model = buildModel(config.model, vocabulary, config.image)
  const frozen = frozenStages(model, config.freezeEncoder)
  const trained = modelSpecs(model).filter(([key, spec]) => isTrained(model, key, spec, frozen))
  return {
    encoder: countParameters(model.specs.encoder),
    decoder: countParameters(model.specs.decoder),
    trainable: countParameters(Object.fromEntries(trained)),
  }
}

test('ViT and transformer, 20,069 words: 33,675,264 + 78,113,381', (t) => {
  const { encoder, decoder, trainable } = counts('vit-transformer', 20_069)
  t.is(encoder, 33_675_264)
  t.is(decoder, 78_113_381)
  t.is(trainable, 111_788_645)
})

test('Show, Attend and Tell: 17,934,684 with 7,003 words, 20,483,859 with 9,490', (t) => {
  const { encoder, decoder, trainable } = counts('resnet101-lstm', 7003)
  t.is(encoder, 42_500_160)
  t.is(decoder, 17_934_684)
  t.is(trainable, decoder)
  t.is(counts('resnet101-lstm', 9490).decoder, 20_483_859)
})

test('Keras captioner: 17,496,080 (S), 73,754,596 (L), 44,372,884 (756 wide)', (t) => {
  const small = counts('efficientnetb1-transformer-s', 10_000)
  t.is(small.trainable, 17_496_080)
  // EfficientNet-B1 of torchvision, 7,794,184, without its classifier of 1,000 classes.
  t.is(small.encoder, 7_794_184 - 1000 * 1281)
  // Keras printed 80,329,839 in all: 6,575,239 of the CNN, these, and four variables of its metrics. (For 756 it printed
  // 50,948,127, the same sum.) A count of 73,754,592 takes the four away twice.
  t.is(6_575_239 + 73_754_596 + 4, 80_329_839)
  t.is(counts('efficientnetb1-transformer-l', 10_000).trainable, 73_754_596)
  const sizes = { 'model.decoder.dim': 756, 'model.decoder.headSize': 756 }
  const wide = counts('efficientnetb1-transformer-l', 10_000, sizes)
  t.is(wide.trainable, 44_372_884)
})

test('EIR: 20,752,704 + 257 a word', (t) => {
  for (const words of [5000, 5001]) {
    const { encoder, decoder } = counts('eir-resnet18', words)
    t.is(encoder + decoder, 20_752_704 + 257 * words)
  }
  t.is(counts('eir-resnet18', 5000, { image: false }).decoder, 3_152_000 + 257 * 5000)
})

test('the optimizer of each system, where libraries differ by default', (t) => {
  const optimizer = (preset: PresetName) =>
    resolveConfig({ preset, overrides: { 'data.path': '.' } }).optimizer
  t.like(optimizer('efficientnetb1-transformer-s'), { name: 'adam', epsilon: 1e-7, clipNorm: 0 })
  t.like(optimizer('resnet101-lstm'), { name: 'adam', epsilon: 1e-8, clipValue: 5, clipNorm: 0 })
  t.like(optimizer('vit-transformer'), { name: 'adam', epsilon: 1e-8, clipNorm: 0 })
  t.like(optimizer('eir-resnet18'), { name: 'adabeliefw', epsilon: 1e-16, clipNorm: 1 })
})

for (const preset of presetNames)
  test(`${preset} is a valid config`, (t) => {
    t.true(counts(preset, 10_000).decoder > 0)
  })
