/** Which parameters a run's weight decay applies to. */
import test from 'ava'
import { buildModel, modelSpecs } from '../../ts/models/model.js'
import { memory, sizeOf } from '../../ts/tensor.js'
import { resolveConfig } from '../../ts/train/resolve-config.js'
import { createWeights, releaseWeights } from '../../ts/train/weights.js'
import { device } from '../device.js'

test('matrices and kernels decay; embeddings and positions when asked', (t) => {
  const config = resolveConfig({ preset: 'tiny', overrides: { data: { path: '.' } } })
  const model = buildModel(config.model, 50)
  const before = memory(device).liveTensors
  for (const decayEmbeddings of [false, true]) {
    const weights = createWeights(model, 0, new Map(), 0, device, 'float32', { decayEmbeddings })
    const decaying = modelSpecs(model).filter(
      ([name, { role, shape }]) =>
        role === 'parameter' &&
        shape.length > 1 &&
        (decayEmbeddings || !/embedding|positions/.test(name)),
    )
    const expected = decaying.reduce(
      (sum, [, { shape }]) => sum + Math.ceil(sizeOf(shape) / 64) * 64,
      0,
    )
    const actual = weights.optimizer.ranges
      .filter(({ decay }) => decay)
      .reduce((sum, { weight }) => sum + weight.size, 0)
    t.is(actual, expected)
    releaseWeights(weights)
  }
  t.is(memory(device).liveTensors, before)
})
