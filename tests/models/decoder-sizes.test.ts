/** The sizes of the transformer decoders, to the unit; how they start; and what they refuse. */
import test from 'ava'
import { ArgumentError } from '../../ts/errors.js'
import { decoderSchema } from '../../ts/models/config.js'
import { buildDecoder } from '../../ts/models/decoders/build.js'
import type { DecoderFacts } from '../../ts/models/decoders/decoder.js'
import { initialValues } from '../../ts/models/initialize.js'
import { countParameters, namedSpecs } from '../../ts/models/params.js'
import { sizeOf } from '../../ts/tensor.js'

const specsOf = (config: object, facts: DecoderFacts) =>
  buildDecoder(decoderSchema.parse(config), facts).specs as Readonly<Record<string, unknown>>

const keras = (dim: number, feedForward: number, memoryHeads: number, heads: number) => ({
  dim,
  headSize: dim,
  feedForward,
  memoryHeads,
  heads,
  layers: 1,
  memory: 'block',
  preNorm: false,
  activation: 'relu',
  tied: false,
  maxTokens: 36,
})
const efficientNet = { channels: 1280, cells: 49, vocabulary: 10_000 }

/** Parameters of the Keras captioner by its own layers: Dense and MultiHeadAttention with heads of `dim` channels. */
function kerasCounts({ dim: e, feedForward: f, memoryHeads, heads }: ReturnType<typeof keras>) {
  const attention = (h: number) => 3 * (e * h * e + h * e) + h * e * e + e
  const words = 10_000 * e + 36 * e + 10_000 * e + 10_000
  return {
    encoder: 2 * 1280 + 1280 * e + e + attention(memoryHeads) + 2 * e,
    decoder: 2 * attention(heads) + e * f + f + f * e + e + 6 * e + words,
  }
}

for (const [title, config, total] of [
  ['S', keras(512, 256, 2, 2), 17_496_080],
  // Keras printed 80,329,839: this, 6,575,239 of EfficientNet-B1, and the 4 numbers of two metrics.
  ['L', keras(1028, 512, 4, 4), 73_754_596],
  ['756 wide', keras(756, 512, 4, 4), 10_126_912 + 34_245_972],
] as const)
  test(`Keras captioner, ${title}: ${total}`, (t) => {
    const { memory, ...rest } = specsOf(config, efficientNet)
    t.is(countParameters(memory), kerasCounts(config).encoder)
    t.is(countParameters(rest), kerasCounts(config).decoder)
    t.is(countParameters(memory) + countParameters(rest), total)
  })

test('transformer on a ViT: 78,113,381 with 20,069 words, 47,311,901 with 29', (t) => {
  const config = {
    dim: 768,
    heads: 8,
    layers: 6,
    feedForward: 2048,
    memory: 'direct',
    positions: 'sinusoidal',
    preNorm: false,
    activation: 'relu',
    tied: false,
    maxTokens: 20,
  }
  for (const [vocabulary, total] of [
    [20_069, 78_113_381],
    [29, 47_311_901],
  ] as const)
    t.is(countParameters(specsOf(config, { channels: 768, cells: 197, vocabulary })), total)
  const narrow = specsOf({ ...config, dim: 256 }, { channels: 256, cells: 197, vocabulary: 29 })
  t.is(countParameters(narrow), 9_487_389)
})

const eir = { name: 'eir', dim: 128, layers: 6, heads: 8, feedForward: 512 }

test('EIR: 3,151,872 in stacks, 6,424,192 in the fusion, 128 and 257 a word', (t) => {
  const facts = { channels: 512, cells: 4, vocabulary: 5000 }
  const specs = specsOf(eir, facts)
  t.is(countParameters([specs.before, specs.after]), 3_151_872)
  t.is(countParameters(specs.fusion), 6_424_192)
  t.is(countParameters(specs), 9_576_192 + 257 * 5000)
  const textOnly = specsOf(eir, { ...facts, cells: 1, image: false })
  t.is(countParameters(textOnly), 3_152_000 + 257 * 5000)
})

/** Largest value and root mean square of the parameter's start. */
function startOf(specs: unknown, name: string): [largest: number, rms: number] {
  const spec = [...namedSpecs(specs)].find(([other]) => other === name)?.[1]
  if (!spec) throw new Error(`no ${name}`)
  const values = initialValues(name, spec, 1)
  const squares = values.reduce((sum, x) => sum + x * x, 0)
  return [
    values.reduce((a, b) => Math.max(a, Math.abs(b)), 0),
    Math.sqrt(squares / sizeOf(spec.shape)),
  ]
}

test('starts as its family does: Keras, PyTorch, EIR', (t) => {
  const near = (actual: number, expected: number) =>
    t.true(Math.abs(actual / expected - 1) < 0.03, `${actual} instead of ${expected}`)
  const fromKeras = specsOf(keras(64, 32, 2, 3), { ...efficientNet, vocabulary: 300 })
  near(startOf(fromKeras, 'embedding.weight')[0], 0.05)
  near(startOf(fromKeras, 'positions.weight')[0], 0.05)
  near(startOf(fromKeras, 'output.weight')[0], Math.sqrt(6 / 364))
  // glorot_uniform of a kernel [dim, heads, size] takes fans dim * heads and dim * size.
  near(startOf(fromKeras, 'layers.0.self_attn.in_proj_weight')[0], Math.sqrt(6 / (64 * 67)))
  near(startOf(fromKeras, 'layers.0.self_attn.out_proj.weight')[0], Math.sqrt(6 / (3 * 128)))

  const config = { dim: 64, heads: 4, layers: 1, memory: 'direct', tied: false, feedForward: 96 }
  const fromTorch = specsOf(config, { channels: 64, cells: 5, vocabulary: 300 })
  near(startOf(fromTorch, 'embedding.weight')[1], 1)
  near(startOf(fromTorch, 'layers.0.linear2.weight')[0], 1 / Math.sqrt(96))
  near(startOf(fromTorch, 'output.bias')[0], 1 / 8)
  near(startOf(fromTorch, 'layers.0.multihead_attn.in_proj_weight')[0], Math.sqrt(6 / 256))
  t.is(startOf(fromTorch, 'layers.0.multihead_attn.in_proj_bias')[0], 0)

  const fromEir = specsOf(eir, { channels: 64, cells: 4, vocabulary: 300 })
  near(startOf(fromEir, 'embedding.weight')[0], 0.1)
  near(startOf(fromEir, 'before.0.ffn.linear1.weight')[1], 0.02)
  near(startOf(fromEir, 'after.5.in_proj.weight')[0], 1 / Math.sqrt(128))
  t.is(startOf(fromEir, 'fusion.ls.gamma')[0], Math.fround(1e-5))
})

test('sizes that do not fit together are refused with what to do', (t) => {
  const facts = { channels: 48, cells: 4, vocabulary: 30 }
  const refuses = (config: object, message: RegExp) =>
    t.regex(
      t.throws(() => specsOf(config, facts), { instanceOf: ArgumentError })?.message ?? '',
      message,
    )
  refuses({ dim: 64, memory: 'direct' }, /decoder\.dim to be 48, the channels of the encoder/)
  refuses({ dim: 64, heads: 3 }, /decoder\.heads to be a number that divides decoder\.dim \(64\)/)
  refuses({ dim: 64, memory: 'block', memoryHeads: 5 }, /decoder\.memoryHeads to be a number/)
  refuses({ dim: 60, heads: 4, positions: 'rotary' }, /decoder\.headSize to be an even number/)
  refuses({ name: 'eir', dim: 60, heads: 4 }, /decoder\.headSize to be an even number/)
})
