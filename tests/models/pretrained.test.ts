/** Published encoder weights load by their own names: the real file when it lies beside the project, and one of ours. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { readSafetensors, writeSafetensors } from '../../ts/files/safetensors.js'
import { buildEncoder } from '../../ts/models/encoders/build.js'
import { namedSpecs } from '../../ts/models/params.js'
import { readEncoderWeights } from '../../ts/models/pretrained.js'
import { storedShape } from '../../ts/models/stored.js'
import { packageRoot } from '../../ts/native.js'
import { sizeOf } from '../../ts/tensor.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { weight } from '../fixtures/filler.js'

const published = join(packageRoot, '..', 'shared', 'weights', 'mobilenet_v2.safetensors')
const publishedTest = existsSync(published) ? test : test.skip

publishedTest(
  `MobileNetV2's published weights have every key${existsSync(published) ? '' : ` (skipped: no ${published})`}`,
  async (t) => {
    const encoder = buildEncoder(
      { name: 'mobilenet_v2', padding: 'same', normEpsilon: 1e-3, dropout: 0 },
      224,
    )
    const values = await readEncoderWeights(published, encoder)
    const specs = [...namedSpecs(encoder.specs)]
    t.is(values.size, specs.length)
    for (const [name, { shape }] of specs) {
      t.is(values.get(name)?.length, sizeOf(shape), name)
      t.true(values.get(name)?.every(Number.isFinite), name)
    }
    const file = await readSafetensors(published)
    const unused = [...file.tensors.keys()].filter((name) => !values.has(name))
    t.deepEqual(
      unused.filter((name) => !/^classifier\.|num_batches_tracked$/.test(name)),
      [],
      'only the classifier and counters are left over',
    )
  },
)

test('a file with a classifier gives the encoder, one that lacks a key is refused by name', async (t) => {
  const folder = await temporaryFolder(t)
  const encoder = buildEncoder(
    { name: 'tiny', padding: 'symmetric', normEpsilon: 1e-5, dropout: 0 },
    64,
  )
  const entries = [...namedSpecs(encoder.specs)].map(([name, spec]) => {
    const shape = storedShape(spec)
    const data = new Uint8Array(weight(name, { shape }).buffer)
    return { name, dtype: 'F32' as const, shape, data }
  })
  const classifier = {
    name: 'classifier.bias',
    dtype: 'F32' as const,
    shape: [2],
    data: new Uint8Array(8),
  }
  const whole = join(folder, 'whole.safetensors')
  await writeSafetensors(whole, [...entries, classifier])
  const values = await readEncoderWeights(whole, encoder)
  t.is(values.size, entries.length)
  const name = 'layers.0.conv.weight'
  const stored = weight(name, { shape: [32, 3, 3, 3] })
  const onDevice = stored.map((_, i) => {
    const [output, place, channel] = [Math.floor(i / 27), Math.floor((i % 27) / 3), i % 3]
    return stored[output * 27 + channel * 9 + place] ?? Number.NaN
  })
  t.deepEqual(values.get(name), onDevice, 'the channels of a place lie side by side')
  const partial = join(folder, 'partial.safetensors')
  await writeSafetensors(
    partial,
    entries.filter((entry) => entry.name !== 'layers.2.bn.running_var'),
  )
  const error = await t.throwsAsync(readEncoderWeights(partial, encoder))
  t.regex(error?.message ?? '', /layers\.2\.bn\.running_var/)
})
