/** Encoders against PyTorch: maps in inference; maps, gradients and running statistics in training; parameter counts. */
import test from 'ava'
import { dropFolds, type FoldCache, inferenceMode, trainingMode } from '../../ts/models/mode.js'
import { buildEncoder } from '../../ts/models/model.js'
import { countParameters, namedSpecs, namedTensors } from '../../ts/models/params.js'
import { openDevice, synchronize } from '../../ts/native.js'
import { normalizeImage } from '../../ts/ops/normalize-image.js'
import { weightedSum } from '../../ts/ops/weighted-sum.js'
import { differentiate } from '../../ts/tape.js'
import { memory, scope, sizeOf, type Tensor, tensor, tensorsIn } from '../../ts/tensor.js'
import { pixels, unit } from '../fixtures/filler.js'
import { filled, readFixture, relative, type Summary, sameTensor, sameTensors } from './parity.js'

interface Case {
  readonly name: 'tiny' | 'resnet18' | 'mobilenet_v2'
  readonly padding: 'symmetric' | 'same'
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
  const what = `${one.name}, ${one.padding} padding`
  const { training } = one
  if (training)
    test.serial(`${what}, training: map, gradients, statistics`, (t) => trains(t, one, training))
  else test.serial(`${what}, inference: map`, (t) => infers(t, one))
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
  const encoder = buildEncoder(one)
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
  const encoder = buildEncoder(one)
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

test('encoders have as many parameters as torchvision says', (t) => {
  for (const [name, own, withClassifier] of [
    ['mobilenet_v2', 2_223_872, 3_504_872],
    ['resnet18', 11_176_512, 11_689_512],
  ] as const) {
    const encoder = buildEncoder({ name, padding: 'symmetric' })
    t.is(countParameters(encoder.specs), own)
    t.is(own + encoder.classifierParameters, withClassifier)
  }
})
