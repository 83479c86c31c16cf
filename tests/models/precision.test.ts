/** Which dtype a model computes in, what is copied to it, and what the CPU refuses. */
import test from 'ava'
import { ArgumentError, DtypeError } from '../../ts/errors.js'
import { buildModel, modelSpecs } from '../../ts/models/model.js'
import { computeCopy, computeDtype } from '../../ts/models/precision.js'
import { type Device, openDevice } from '../../ts/native.js'
import { add } from '../../ts/ops/add.js'
import { normalizeImage } from '../../ts/ops/normalize-image.js'
import { empty, scope, zeros } from '../../ts/tensor.js'
import { resolveConfig } from '../../ts/train/resolve-config.js'
import { train } from '../../ts/train/train.js'
import { createWeights, releaseWeights } from '../../ts/train/weights.js'

const device = openDevice('cpu')
const gpu: Device = { ...device, name: 'cuda' }

test('auto is bfloat16 on a GPU and float32 on the CPU', (t) => {
  t.is(computeDtype('auto', device), 'float32')
  t.is(computeDtype('auto', gpu), 'bfloat16')
  t.is(computeDtype('float32', gpu), 'float32')
  const error = t.throws(() => computeDtype('bfloat16', device), { instanceOf: ArgumentError })
  t.is(
    error?.message,
    'config: expected precision to be "auto" or "float32" on device "cpu", received "bfloat16"',
  )
})

test('bfloat16 on the CPU stops a run before it begins, and an op with the way out', async (t) => {
  await t.throwsAsync(
    train({ data: 'nowhere', out: 'nowhere', device: 'cpu', precision: 'bfloat16' }),
    { instanceOf: ArgumentError, message: /precision to be "auto" or "float32" on device "cpu"/ },
  )
  scope(() => {
    const half = empty([2], 'bfloat16', device)
    t.throws(() => add({ a: half, b: half }), {
      instanceOf: DtypeError,
      message:
        'add: a is bfloat16; the CPU computes in float32. Use precision "float32", or device "cuda"',
    })
    const three = empty([3], 'float32', device)
    const x = zeros([1, 2, 2, 3], 'uint8', device)
    t.throws(() => normalizeImage({ x, mean: three, std: three }, { dtype: 'bfloat16' }), {
      instanceOf: DtypeError,
      message: /normalizeImage: the output is bfloat16; the CPU computes in float32/,
    })
  })
})

test('matrices become bfloat16; vectors and convolution kernels that are not trained stay', (t) => {
  const config = resolveConfig({ preset: 'tiny', overrides: { 'data.path': '.' } })
  const model = buildModel(config.model, 9)
  scope(() => {
    for (const [name, spec] of modelSpecs(model)) {
      const t32 = empty(spec.shape, 'float32', device)
      const rounded = spec.shape.length > 1 && !name.startsWith('encoder.')
      t.is(computeCopy(spec, t32, 'bfloat16').dtype, rounded ? 'bfloat16' : 'float32', name)
      t.is(computeCopy(spec, t32, 'float32'), t32)
    }
  })
})

test('weights of a run: trained matrices are rounded views, statistics and frozen kernels float32', async (t) => {
  const config = resolveConfig({ preset: 'tiny', overrides: { 'data.path': '.' } })
  const model = buildModel(config.model, 9)
  const weights = createWeights(model, 1, new Map(), 0, device, 'bfloat16')
  const { optimizer } = weights
  for (const [i, [name, master]] of optimizer.masters.entries()) {
    const view = optimizer.views[i]
    t.is(master.dtype, 'float32')
    t.is(view?.dtype, master.shape.length > 1 ? 'bfloat16' : 'float32', name)
    const [exact, used] = [await master.readFloats(), await view?.readFloats()]
    t.true(
      used?.every((x, j) => Math.abs(x - (exact[j] ?? 0)) <= Math.abs(x) / 256),
      name,
    )
  }
  const frozen = weights.others.filter(([name]) => name.startsWith('encoder.layers.0.'))
  t.is(frozen.length, 5)
  t.true(weights.others.every(([, tensor]) => tensor.dtype === 'float32'))
  releaseWeights(weights)
})
