/** Published weights of small encoders, in each kind of file and with each library's names, are the same weights. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { refuseSat } from '../../ts/convert/sat.js'
import { convertWeights } from '../../ts/convert/weights.js'
import { CheckpointError } from '../../ts/errors.js'
import { readSafetensors, writeSafetensors } from '../../ts/files/safetensors.js'
import type { Encoder } from '../../ts/models/encoders/encoder.js'
import { resnet } from '../../ts/models/encoders/resnet.js'
import { visionTransformer } from '../../ts/models/encoders/vit.js'
import { namedSpecs } from '../../ts/models/params.js'
import { readEncoderWeights } from '../../ts/models/pretrained.js'
import { storedShape } from '../../ts/models/stored.js'
import { packageRoot } from '../../ts/native.js'
import { checkpointOf } from '../files/pytorch/pickle-writer.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { weight } from '../fixtures/filler.js'

type Entry = readonly [name: string, shape: readonly number[], values: Float32Array]

const small = resnet(
  'resnet50',
  { normEpsilon: 1e-5 },
  { bottleneck: true, blocks: [1, 2, 1, 1], widths: [4, 4, 6, 8] },
)
const vit = visionTransformer('vit_s_16', 32, 0, { dim: 8, layers: 2, heads: 2, feedForward: 12 })

function entriesOf(encoder: Encoder): Entry[] {
  return [...namedSpecs(encoder.specs)].map(([name, spec]) => {
    const shape = storedShape(spec)
    return [name, shape, weight(name, { shape })]
  })
}

const classifier: Entry = ['fc.weight', [2, 2], new Float32Array(4)]

const counter: Entry = ['bn1.num_batches_tracked', [1], new Float32Array(1)]

/** Hugging Face's name of a tensor of ours. */
function huggingFace(name: string): string {
  return `resnet.${name}`
    .replace(/\.conv1\.weight$/, (all, at) =>
      at > 6 ? all : '.embedder.embedder.convolution.weight',
    )
    .replace(/^resnet\.bn1\./, 'resnet.embedder.embedder.normalization.')
    .replace(/layer(\d)\.(\d+)\./, (_, l, b) => `encoder.stages.${l - 1}.layers.${b}.`)
    .replace(/downsample\.0/, 'shortcut.convolution')
    .replace(/downsample\.1/, 'shortcut.normalization')
    .replace(/conv(\d)/, (_, n) => `layer.${n - 1}.convolution`)
    .replace(/bn(\d)/, (_, n) => `layer.${n - 1}.normalization`)
}

/** A ViT's tensors as transformers 4 has them. */
function huggingFaceVit([name, shape, values]: Entry): Entry[] {
  const layer = /encoder_layer_(\d+)/.exec(name)?.[1]
  const base = `vit.encoder.layer.${layer}`
  const rename: [RegExp, string][] = [
    [/^class_token$/, 'vit.embeddings.cls_token'],
    [/^encoder\.pos_embedding$/, 'vit.embeddings.position_embeddings'],
    [/^conv_proj/, 'vit.embeddings.patch_embeddings.projection'],
    [/^encoder\.ln\./, 'vit.layernorm.'],
    [/.*\.ln_1\./, `${base}.layernorm_before.`],
    [/.*\.ln_2\./, `${base}.layernorm_after.`],
    [/.*\.out_proj\./, `${base}.attention.output.dense.`],
    [/.*\.mlp\.0\./, `${base}.intermediate.dense.`],
    [/.*\.mlp\.3\./, `${base}.output.dense.`],
  ]
  const joined = /in_proj_(\w+)$/.exec(name)?.[1]
  if (joined === undefined)
    return [[rename.reduce((text, rule) => text.replace(...rule), name), shape, values]]
  const [rows = 0, ...rest] = shape
  const length = values.length / 3
  return ['query', 'key', 'value'].map((part, i) => [
    `${base}.attention.attention.${part}.${joined}`,
    [rows / 3, ...rest],
    values.slice(i * length, (i + 1) * length),
  ])
}

const files: [what: string, encoder: Encoder, library: string, content: Buffer, key?: string][] = [
  [
    'torchvision, .pth',
    small,
    'torchvision',
    checkpointOf([...entriesOf(small), classifier, counter]),
  ],
  [
    'a trainer of torchvision models, under state_dict and module.',
    small,
    'torchvision',
    checkpointOf(
      entriesOf(small).map(([name, ...rest]) => [`module.${name}`, ...rest] as const),
      'state_dict',
    ),
    'state_dict',
  ],
  [
    'Hugging Face ResNet, .bin',
    small,
    'Hugging Face',
    checkpointOf(entriesOf(small).map(([name, ...rest]) => [huggingFace(name), ...rest] as const)),
  ],
  [
    'Hugging Face ViT, .bin',
    vit,
    'Hugging Face',
    checkpointOf(entriesOf(vit).flatMap(huggingFaceVit)),
  ],
]

for (const [what, encoder, library, content, key] of files) {
  test(`${what}: converted, and read directly`, async (t) => {
    const folder = await temporaryFolder(t)
    const path = join(folder, 'published')
    const out = join(folder, 'ours.safetensors')
    await writeFile(path, content)
    const result = await convertWeights(path, encoder, out, key)
    const entries = entriesOf(encoder)
    t.like(result, { out, encoder: encoder.name, library, tensors: entries.length })
    const file = await readSafetensors(out)
    t.deepEqual([...file.tensors.keys()].sort(), entries.map(([name]) => name).sort())
    for (const [name, shape, values] of entries) {
      t.deepEqual(file.tensors.get(name)?.shape, shape, name)
      t.deepEqual(file.float32(name), values, name)
    }
    t.is(file.metadata.get('encoder'), encoder.name)
    t.deepEqual(result.leftOut, what.includes('.pth') ? ['fc.weight'] : [])
    const direct = await readEncoderWeights(path, encoder, key)
    t.deepEqual(await readEncoderWeights(out, encoder), direct)
    t.is(direct.size, entries.length)
  })
}

test('what the encoder has no place for is told; a file of another encoder is refused by name', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'a.safetensors')
  const entries = [...entriesOf(small), classifier, counter].map(([name, shape, values]) => {
    return { name, dtype: 'F32' as const, shape, data: new Uint8Array(values.buffer) }
  })
  await writeSafetensors(path, entries)
  const out = join(folder, 'ours.safetensors')
  t.deepEqual((await convertWeights(path, small, out)).leftOut, ['fc.weight'])
  const other = join(folder, 'other.safetensors')
  await t.throwsAsync(convertWeights(path, vit, other), {
    instanceOf: CheckpointError,
    message: /a\.safetensors: tensor "class_token" is missing/,
  })
  await t.throwsAsync(readSafetensors(other), { message: /no such file/ })
})

test('a ViT that lacks its values is refused, not put together of less', async (t) => {
  const path = join(await temporaryFolder(t), 'a.bin')
  const entries = entriesOf(vit).flatMap(huggingFaceVit)
  await writeFile(
    path,
    checkpointOf(entries.filter(([name]) => !name.endsWith('0.attention.attention.value.bias'))),
  )
  await t.throwsAsync(readEncoderWeights(path, vit), {
    instanceOf: CheckpointError,
    message: /in_proj_bias" is put together of .*value\.bias, which are not all there/,
  })
})

test('Show, Attend and Tell: whole modules are refused with what to do, plain weights sent on', async (t) => {
  const fixtures = join(packageRoot, 'tests/fixtures/pytorch')
  const whole = await t.throwsAsync(refuseSat(join(fixtures, 'module.pth')), {
    instanceOf: CheckpointError,
    message:
      /asks for "torch\.nn\.modules\..*whole Python objects.*weights_only=False.*--key encoder/s,
  })
  t.true(whole?.message.includes(`torch.load('${join(fixtures, 'module.pth')}'`))
  const path = join(await temporaryFolder(t), 'weights.pth')
  await writeFile(path, checkpointOf(entriesOf(small), 'encoder'))
  await t.throwsAsync(refuseSat(path), {
    message:
      /holds plain weights already\. Convert its encoder with: captioneer convert weights .*--key encoder/,
  })
})
