/**
 * The dtypes of outputs and gradients, and what is refused, on a device that has bfloat16 but computes nothing. What
 * kernels do in bfloat16 is ops.test.ts's, on a device that has them.
 */
import test from 'ava'
import { ArgumentError, DtypeError } from '../../ts/errors.js'
import type { Kernels } from '../../ts/kernels.js'
import { type Device, openDevice } from '../../ts/native.js'
import { convolutionBatchNorm } from '../../ts/ops/convolution-batch-norm.js'
import { embedding } from '../../ts/ops/embedding.js'
import { layerNorm } from '../../ts/ops/layer-norm.js'
import { linear } from '../../ts/ops/linear.js'
import { linearCrossEntropy } from '../../ts/ops/linear-cross-entropy.js'
import { normalizeImage } from '../../ts/ops/normalize-image.js'
import { weightedSum } from '../../ts/ops/weighted-sum.js'
import { differentiate } from '../../ts/tape.js'
import { type Dtype, empty, scope } from '../../ts/tensor.js'

const device: Device = {
  ...openDevice('cpu'),
  name: 'cuda',
  kernels: new Proxy({} as Kernels, { get: () => () => {} }),
}
const of = (dtype: Dtype, ...shape: number[]) => empty(shape, dtype, device)
const half = (...shape: number[]) => of('bfloat16', ...shape)
const single = (...shape: number[]) => of('float32', ...shape)

test('outputs are bfloat16 like the activations; losses, statistics and asked-for logits float32', (t) => {
  scope(() => {
    const [x, weight] = [half(5, 4), half(3, 4)]
    t.is(linear({ x, weight, bias: single(3) }).dtype, 'bfloat16')
    t.is(linear({ x, weight }, { outDtype: 'float32' }).dtype, 'float32')
    t.is(embedding({ tokens: of('int32', 2), tokenWeight: weight }).dtype, 'bfloat16')
    const norm = layerNorm.withExtras({ x, weight: single(4), bias: single(4) })
    t.is(norm.out.dtype, 'bfloat16')
    t.is(norm.rstd.dtype, 'float32')
    const loss = { x, weight, targets: of('int32', 5), denominator: single(1) }
    t.is(linearCrossEntropy(loss).dtype, 'float32')
    const [three, pixels] = [single(3), of('uint8', 1, 2, 2, 3)]
    t.is(normalizeImage({ x: pixels, mean: three, std: three }).dtype, 'float32')
    const normal = normalizeImage(
      { x: pixels, mean: three, std: three },
      { dtype: 'bfloat16', channels: 4 },
    )
    t.is(normal.dtype, 'bfloat16')
    const batchNorm = convolutionBatchNorm.withExtras(
      {
        x: normal,
        weight: half(6, 1, 1, 3),
        gamma: single(6),
        beta: single(6),
        runningMean: single(6),
        runningVar: single(6),
      },
      { padding: 0 },
    )
    t.deepEqual(
      [batchNorm.out, batchNorm.y, batchNorm.mean, batchNorm.rstd].map(({ dtype }) => dtype),
      ['bfloat16', 'bfloat16', 'float32', 'float32'],
    )
  })
})

test('gradients of activations are bfloat16, of everything that is learned float32', (t) => {
  scope(() => {
    const [x, residual] = [half(5, 4), half(5, 3)]
    const [weight, bias] = [half(3, 4), single(3)]
    const [, grads] = differentiate([x, weight, bias, residual], () => {
      const y = linear({ x, weight, bias, residual }, { activation: 'gelu' })
      return weightedSum({ x: y, weights: half(5, 3) })
    })
    t.deepEqual(
      grads.map((grad) => grad?.dtype),
      ['bfloat16', 'float32', 'float32', 'bfloat16'],
    )
  })
})

test('two dtypes in one call, vectors in bfloat16 and a gradient through float32 logits are refused', (t) => {
  scope(() => {
    const [x, weight] = [half(5, 4), half(3, 4)]
    t.throws(() => linear({ x, weight: single(3, 4) }), {
      instanceOf: DtypeError,
      message:
        'linear: weight is float32 and x is bfloat16; activations and weights of one call must be all float32 or all bfloat16',
    })
    t.throws(() => linear({ x, weight, bias: half(3) }), {
      instanceOf: DtypeError,
      message: 'linear: bias must be float32, received bfloat16',
    })
    t.throws(() => linear({ x: of('int32', 5, 4), weight }), {
      instanceOf: DtypeError,
      message: 'linear: x must be float32 or bfloat16, received int32',
    })
    const logits = () => linear({ x, weight }, { outDtype: 'float32' })
    t.throws(() => differentiate([weight], logits), {
      instanceOf: ArgumentError,
      message:
        'linear: expected outDtype to be left out with a residual or a gradient, received "float32"',
    })
  })
})
