/** `captioneer inspect` of presets; of a trained model see train.test.ts. */
import test from 'ava'
import { cli } from './run-cli.js'

interface Layer {
  readonly name: string
  readonly parameters: number
  readonly flopsPerImage: number
  readonly flopsPerToken: number
}

async function inspect(...words: string[]) {
  const { code, stdout } = await cli(['inspect', ...words, '--json'])
  return code === 0 ? JSON.parse(stdout) : undefined
}

function encoderFlops(layers: readonly Layer[]): number {
  return layers
    .filter(({ name }) => name.startsWith('encoder.'))
    .reduce((sum, { flopsPerImage }) => sum + flopsPerImage, 0)
}

test("resnet18: torchvision's count, and the operations of its paper", async (t) => {
  const model = await inspect('resnet18-transformer', '--vocabulary', '5000')
  t.is(model.encoder, 11_176_512)
  t.is(model.encoderWithClassifier, 11_689_512)
  t.is(model.total, model.encoder + model.decoder)
  t.is(model.trainable, model.total)
  // Float32, and two statistics of each batch norm beside its two parameters.
  t.is(model.bytes, 4 * (model.total + 2 * 4800))
  // He et al. 2015, table 1: 1.8e9 multiply-adds.
  t.is((encoderFlops(model.layers) / 2e9).toFixed(1), '1.8')
})

test('mobilenetv2: frozen, so that only the decoder is trained', async (t) => {
  const model = await inspect('mobilenetv2-transformer')
  t.is(model.encoder, 2_223_872)
  t.is(model.encoderWithClassifier, 3_504_872)
  t.is(model.trainable, model.decoder)
  // Sandler et al. 2018, table 4: 300 million multiply-adds.
  t.is((encoderFlops(model.layers) / 2e8).toFixed(1), '3.0')
  const all = await inspect('mobilenetv2-transformer', '--freezeEncoder=false')
  t.is(all.trainable, all.total)
})

test('the vocabulary and config keys count', async (t) => {
  const [small, wide, deep] = await Promise.all([
    inspect('tiny', '--vocabulary=100'),
    inspect('tiny', '--vocabulary=101'),
    inspect('tiny', '--vocabulary', '100', '--model.decoder.layers', '5'),
  ])
  t.is(small.vocabulary, 100)
  t.is(wide.total - small.total, 96 + 1, 'a row of the embedding and a bias')
  t.is(wide.flopsPerToken - small.flopsPerToken, 2 * 96)
  const layer = small.layers.find(({ name }: Layer) => name === 'decoder.layers.1')
  t.is(deep.total - small.total, layer.parameters)
  t.is(deep.flopsPerToken - small.flopsPerToken, layer.flopsPerToken)
})

test('the table', async (t) => {
  const { code, stdout } = await cli(['inspect', 'tiny', '--vocabulary', '100'])
  t.is(code, 0)
  t.regex(stdout, /^encoder\.layers\.3 +147,712 +18\.9 M$/m)
  t.regex(stdout, /^encoder +241,184$/m)
})
