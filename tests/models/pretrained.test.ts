/** Published encoder weights load by their own names: the real file when it lies beside the project, and one of ours. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { readSafetensors, writeSafetensors } from '../../ts/files/safetensors.js'
import { buildEncoder } from '../../ts/models/model.js'
import { namedSpecs } from '../../ts/models/params.js'
import { readEncoderWeights } from '../../ts/models/pretrained.js'
import { packageRoot } from '../../ts/native.js'
import { sizeOf } from '../../ts/tensor.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { weight } from '../fixtures/filler.js'

const published = join(packageRoot, '..', 'shared', 'weights', 'mobilenet_v2.safetensors')
const publishedTest = existsSync(published) ? test : test.skip

publishedTest(
  `MobileNetV2's published weights have every key${existsSync(published) ? '' : ` (skipped: no ${published})`}`,
  async (t) => {
    const encoder = buildEncoder({ name: 'mobilenet_v2', padding: 'same' })
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
  const encoder = buildEncoder({ name: 'tiny', padding: 'symmetric' })
  const entries = [...namedSpecs(encoder.specs)].map(([name, spec]) => {
    const values = weight(name, spec)
    return { name, dtype: 'F32' as const, shape: spec.shape, data: new Uint8Array(values.buffer) }
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
  t.deepEqual(values.get(name), weight(name, { shape: [32, 3, 3, 3] }))
  const partial = join(folder, 'partial.safetensors')
  await writeSafetensors(
    partial,
    entries.filter((entry) => entry.name !== 'layers.2.bn.running_var'),
  )
  const error = await t.throwsAsync(readEncoderWeights(partial, encoder))
  t.regex(error?.message ?? '', /layers\.2\.bn\.running_var/)
})
