/** What samples cannot say: batches without rows, ids that only the device sees, and ranks beside losses. */
import test from 'ava'
import { openDevice } from '../../ts/native.js'
import { embedding } from '../../ts/ops/embedding.js'
import { layerNorm } from '../../ts/ops/layer-norm.js'
import { linear } from '../../ts/ops/linear.js'
import { linearCrossEntropy } from '../../ts/ops/linear-cross-entropy.js'
import { tokenLoss } from '../../ts/ops/token-loss.js'
import { weightedSum } from '../../ts/ops/weighted-sum.js'
import { differentiate } from '../../ts/tape.js'
import { sizeOf, type Tensor, tensor, tensorScope } from '../../ts/tensor.js'

const device = openDevice('cpu')
const filled = (value: number, ...shape: number[]) =>
  tensor(new Float32Array(sizeOf(shape)).fill(value), shape, device)
const integers = (...data: number[]) => tensor(Int32Array.from(data), [data.length], device)

const withoutRows: Readonly<Record<string, (x: Tensor, w: Tensor) => Tensor>> = {
  linear: (x, w) => linear({ x, weight: w }),
  'linear with gelu': (x, w) => linear({ x, weight: w }, { activation: 'gelu' }),
  layerNorm: (x, w) => layerNorm({ x, weight: w, bias: w }),
}

for (const [name, op] of Object.entries(withoutRows))
  test(`${name}: a batch without rows gives no rows and a gradient of zeros`, async (t) => {
    using _ = tensorScope()
    const x = filled(1, 0, 5)
    const weight = name === 'layerNorm' ? filled(1, 5) : filled(1, 5, 5)
    const [sum, [dx, dweight]] = differentiate([x, weight], () =>
      weightedSum({ x: op(x, weight), weights: filled(1, 0, 5) }),
    )
    t.deepEqual(await sum.readFloats(), Float32Array.of(0))
    t.is(dx?.size, 0)
    t.deepEqual(await dweight?.readFloats(), new Float32Array(weight.size))
  })

test('linearCrossEntropy: no tokens give no loss and a gradient of zeros', async (t) => {
  using _ = tensorScope()
  const x = filled(1, 0, 5)
  const weight = filled(1, 4, 5)
  const [loss, [, dweight]] = differentiate([x, weight], () =>
    linearCrossEntropy({ x, weight, targets: integers(), denominator: filled(1, 1) }),
  )
  t.deepEqual(await loss.readFloats(), Float32Array.of(0))
  t.deepEqual(await dweight?.readFloats(), new Float32Array(20))
})

test('embedding: ids outside the tables are named', async (t) => {
  using _ = tensorScope()
  const tokenWeight = filled(1, 4, 5)
  const wrongToken = embedding({ tokens: integers(1, 4), tokenWeight })
  await t.throwsAsync(wrongToken.read(), {
    message: 'embedding: expected tokens from 0 to 3, received 4 at index 1',
    code: 'ERR_ARGUMENT',
  })
  const wrongPosition = embedding({
    tokens: integers(1, 2),
    positions: integers(-1, 0),
    tokenWeight,
    positionWeight: filled(1, 2, 5),
  })
  await t.throwsAsync(wrongPosition.read(), {
    message: /expected positions from 0 to 1, received -1 at index 0/,
  })
})

test('tokenLoss: rank counts the classes before the target; ignored tokens have none', async (t) => {
  using _ = tensorScope()
  const logits = [3, 1, 2, 2]
  const { out, rank } = tokenLoss.withExtras(
    {
      x: filled(1, 5, 1),
      weight: tensor(logits, [4, 1], device),
      targets: integers(0, 1, 2, 3, 9),
    },
    { ignoreIndex: 9 },
  )
  t.deepEqual(await rank.read(), Int32Array.of(0, 3, 1, 1, -1))
  t.is((await out.readFloats())[4], 0)
  const outside = tokenLoss({ x: filled(1, 1, 1), weight: filled(1, 4, 1), targets: integers(4) })
  await t.throwsAsync(outside.read(), {
    message: /expected targets from 0 to 3 or ignoreIndex -100, received 4 at index 0/,
  })
})
