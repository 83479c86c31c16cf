/**
 * Encoders against PyTorch: maps in inference; maps, gradients and running statistics in training; torchvision's counts of
 * parameters; dropout and stages of vision transformers.
 */
import test from 'ava'
import { ArgumentError } from '../../ts/errors.js'
import { type ModelConfig, modelSchema } from '../../ts/models/config.js'
import { buildEncoder } from '../../ts/models/encoders/build.js'
import { efficientNet } from '../../ts/models/encoders/efficientnet.js'
import type { Encoder } from '../../ts/models/encoders/encoder.js'
import { resnet } from '../../ts/models/encoders/resnet.js'
import { visionTransformer } from '../../ts/models/encoders/vit.js'
import { postNormVisionTransformer } from '../../ts/models/encoders/vit-postnorm.js'
import { countFlops } from '../../ts/models/flops.js'
import { dropFolds, type FoldCache, inferenceMode, trainingMode } from '../../ts/models/mode.js'
import { buildModel } from '../../ts/models/model.js'
import { countParameters, namedSpecs, namedTensors } from '../../ts/models/params.js'
import { openDevice, synchronize } from '../../ts/native.js'
import { normalizeImage } from '../../ts/ops/normalize-image.js'
import { weightedSum } from '../../ts/ops/weighted-sum.js'
import { differentiate } from '../../ts/tape.js'
import { memory, scope, sizeOf, type Tensor, tensor, tensorsIn } from '../../ts/tensor.js'
import { pixels, unit } from '../fixtures/filler.js'
import { filled, readFixture, relative, type Summary, sameTensor, sameTensors } from './parity.js'

interface Case {
  readonly name: ModelConfig['encoder']['name']
  readonly padding: 'symmetric' | 'same'
  readonly normEpsilon: number
  /** Whether the shape is that of `small` below. */
  readonly small: boolean
  readonly images: number
  readonly size: number
  readonly shape: readonly number[]
  readonly out: Summary
  readonly training?: {
    readonly frozenStages: number
    readonly loss: number
    readonly gradients: Readonly<Record<string, Summary>>
    readonly statistics: Readonly<Record<string, Summary>>
  }
}

const device = openDevice('cpu')

for (const one of readFixture<Case[]>('encoders')) {
  const { name, small: narrow, padding, normEpsilon } = one
  const what = `${name}${narrow ? ', small' : ''}, ${padding} padding, epsilon ${normEpsilon}`
  const { training } = one
  if (training)
    test.serial(
      `${what}, ${training.frozenStages} frozen, training: map, gradients, statistics`,
      (t) => trains(t, one, training),
    )
  else test.serial(`${what}, inference: map`, (t) => infers(t, one))
}

/** Shapes as in tests/fixtures/make_encoders.py. */
function small(one: Case): Encoder {
  const transformer = { dim: 32, layers: 2, heads: 4, feedForward: 48 }
  switch (one.name) {
    case 'resnet50':
      return resnet(one.name, one, {
        bottleneck: true,
        blocks: [1, 2, 1, 1],
        widths: [16, 16, 24, 32],
      })
    case 'efficientnet_b0':
      return efficientNet(one.name, one, {
        stem: 16,
        stages: [
          [1, 3, 1, 8, 1],
          [6, 5, 2, 16, 2],
          [4, 3, 2, 24, 1],
        ],
        head: 32,
      })
    case 'vit_b_16':
      return visionTransformer(one.name, one.size, 0, transformer)
    case 'vit_postnorm_16':
      return postNormVisionTransformer(one.size, 0, transformer)
    default:
      throw new Error(`no small ${one.name}`)
  }
}

function encoderOf(one: Case): Encoder {
  return one.small ? small(one) : buildEncoder({ dropout: 0, ...one }, one.size)
}

function images({ images: count, size }: Case): Tensor {
  const shape = [count, size, size, 3]
  const half = () => tensor([0.5, 0.5, 0.5], [3], device)
  return scope(() =>
    normalizeImage({
      x: tensor(pixels('pixels', sizeOf(shape)), shape, device),
      mean: half(),
      std: half(),
    }),
  )
}

async function infers(t: import('ava').ExecutionContext, one: Case): Promise<void> {
  const before = memory(device)
  const encoder = encoderOf(one)
  const params = filled(encoder.specs, device)
  const folds: FoldCache = new Map()
  const map = scope(() => encoder.forward(params as never, images(one), inferenceMode(folds)))
  t.deepEqual(map.shape, one.shape)
  sameTensor(t, await map.readFloats(), one.out, 'map')
  map.release()
  dropFolds(folds)
  for (const p of tensorsIn(params)) p.release()
  await synchronize(device)
  t.is(memory(device).liveTensors, before.liveTensors, 'nothing leaks')
}

async function trains(
  t: import('ava').ExecutionContext,
  one: Case,
  expected: NonNullable<Case['training']>,
): Promise<void> {
  const encoder = encoderOf(one)
  const params = filled(encoder.specs, device)
  const { frozenStages } = expected
  const frozen = encoder.stages.slice(0, frozenStages).flat()
  const specs = new Map(namedSpecs(encoder.specs))
  const named = [...namedTensors(params)]
  const statistics = named.filter(([name]) => specs.get(name)?.role === 'statistic')
  const learned = named.filter(
    ([name]) =>
      specs.get(name)?.role === 'parameter' && !frozen.some((prefix) => name.startsWith(prefix)),
  )
  const folds: FoldCache = new Map()
  const { map, loss, grads } = scope(() => {
    const mode = trainingMode(undefined, frozenStages, folds)
    const x = images(one)
    const weights = tensor(Float32Array.from(unit('weights', sizeOf(one.shape))), one.shape, device)
    let out: Tensor | undefined
    const [sum, found] = differentiate(
      learned.map(([, p]) => p),
      () => {
        out = encoder.forward(params as never, x, mode)
        return weightedSum({ x: out, weights })
      },
    )
    return { map: out as Tensor, loss: sum, grads: found as Tensor[] }
  })
  t.deepEqual(map.shape, one.shape)
  sameTensor(t, await map.readFloats(), one.out, 'map')
  const [sum = Number.NaN] = await loss.readFloats()
  t.true(Math.abs(sum - expected.loss) <= relative * one.out.norm, 'loss')
  const gradients = new Map(learned.map(([name], i) => [name, grads[i] as Tensor]))
  await sameTensors(t, gradients, expected.gradients, 'gradient', specs)
  await sameTensors(t, new Map(statistics), expected.statistics, 'statistic')
  dropFolds(folds)
  for (const used of tensorsIn({ params, map, loss, grads })) used.release()
}

/** Own parameters, and torchvision's of the model with its classifier; the last two are no models of torchvision. */
const counts: Readonly<Partial<Record<ModelConfig['encoder']['name'], readonly [number, number]>>> =
  {
    resnet18: [11_176_512, 11_689_512],
    resnet34: [21_284_672, 21_797_672],
    resnet50: [23_508_032, 25_557_032],
    resnet101: [42_500_160, 44_549_160],
    resnet152: [58_143_808, 60_192_808],
    mobilenet_v2: [2_223_872, 3_504_872],
    efficientnet_b0: [4_007_548, 5_288_548],
    efficientnet_b1: [6_513_184, 7_794_184],
    efficientnet_b2: [7_700_994, 9_109_994],
    efficientnet_b3: [10_696_232, 12_233_232],
    vit_b_16: [85_798_656, 86_567_656],
    vit_s_16: [21_665_664, 21_665_664],
    vit_postnorm_16: [33_675_264, 33_675_264],
  }

for (const [name, [own, withClassifier]] of Object.entries(counts))
  test(`${name}: ${withClassifier} parameters`, (t) => {
    const encoder = buildEncoder(configOf(name), 224)
    t.is(countParameters(encoder.specs), own)
    t.is(own + encoder.classifierParameters, withClassifier)
    const keys = [...namedSpecs(encoder.specs)].map(([key]) => key)
    for (const key of keys)
      t.is(
        encoder.stages.filter((stage) => stage.some((prefix) => key.startsWith(prefix))).length,
        1,
        `${key} belongs to one stage`,
      )
    for (const [i, stage] of encoder.stages.entries())
      for (const prefix of stage)
        t.true(
          keys.some((key) => key.startsWith(prefix)),
          `stage ${i}: there is a ${prefix}`,
        )
  })

function configOf(name: string): ModelConfig['encoder'] {
  return modelSchema.parse({ image: {}, encoder: { name }, decoder: {} }).encoder
}

/** torchvision's documentation gives these in multiply-adds, classifier and products inside attention included. */
test('operations are counted in every kind of encoder', (t) => {
  for (const [name, published] of [
    ['resnet50', 4.089e9 - 2.048e6],
    ['efficientnet_b0', 0.386e9 - 1.28e6],
    ['mobilenet_v2', 0.301e9 - 1.28e6],
    ['vit_b_16', 17.564e9 - 0.768e6 - 12 * 2 * 197 ** 2 * 768],
  ] as const) {
    const model = buildModel(modelSchema.parse({ image: {}, encoder: { name }, decoder: {} }), 37)
    let sum = 0
    for (const [key, count] of countFlops(model).encoder) {
      t.true(key.startsWith('encoder.'), `${key} is a parameter of the encoder`)
      sum += count
    }
    t.true(Math.abs(sum / 2 / published - 1) < 0.02, `${name}: ${sum / 2}`)
  }
})

test('the patches of a vision transformer must fill the image', (t) => {
  for (const name of ['vit_b_16', 'vit_s_16', 'vit_postnorm_16'])
    t.throws(() => buildEncoder(configOf(name), 230), {
      instanceOf: ArgumentError,
      message: `model: expected image.size to be a multiple of 16 for ${name}, received 230`,
    })
})

test.serial(
  'dropout of vision transformers: while training, and not in frozen stages',
  async (t) => {
    const shape = { dim: 32, layers: 2, heads: 4, feedForward: 48 }
    for (const encoder of [
      visionTransformer('vit_s_16', 32, 0.5, shape),
      postNormVisionTransformer(32, 0.5, shape),
    ]) {
      const params = filled(encoder.specs, device)
      const [kept, dropped, frozen, partly] = scope(() => {
        const rng = tensor(Int32Array.of(1, 2, 3), [3], device)
        const x = normalizeImage({
          x: tensor(pixels('pixels', 2 * 32 * 32 * 3), [2, 32, 32, 3], device),
          mean: tensor([0.5, 0.5, 0.5], [3], device),
          std: tensor([0.5, 0.5, 0.5], [3], device),
        })
        const run = (mode: Parameters<Encoder['forward']>[2]) =>
          encoder.forward(params as never, x, mode)
        return [
          run(inferenceMode()),
          run(trainingMode(rng, 0, new Map())),
          run(trainingMode(rng, 3, new Map())),
          run(trainingMode(rng, 2, new Map())),
        ] as const
      })
      const [plain, noisy, still, half] = await Promise.all(
        [kept, dropped, frozen, partly].map((out) => out.readFloats()),
      )
      t.deepEqual(still, plain, 'frozen stages are as in inference')
      t.notDeepEqual(noisy, plain)
      t.notDeepEqual(half, plain)
      t.notDeepEqual(half, noisy, 'the frozen part drops nothing')
      for (const used of tensorsIn({ params, kept, dropped, frozen, partly })) used.release()
    }
  },
)
