/** What samples cannot say: batches without rows, ids that only the device sees, and ranks beside losses. */
import test from 'ava'
import { embedding } from '../../ts/ops/embedding.js'
import { layerNorm } from '../../ts/ops/layer-norm.js'
import { linear } from '../../ts/ops/linear.js'
import { linearCrossEntropy } from '../../ts/ops/linear-cross-entropy.js'
import { tokenLoss } from '../../ts/ops/token-loss.js'
import { weightedSum } from '../../ts/ops/weighted-sum.js'
import { differentiate } from '../../ts/tape.js'
import { type HostArray, scope, sizeOf, type Tensor, tensor } from '../../ts/tensor.js'
import { device } from '../device.js'

const filled = (value: number, ...shape: number[]) =>
  tensor(new Float32Array(sizeOf(shape)).fill(value), shape, device)
const integers = (...data: number[]) => tensor(Int32Array.from(data), [data.length], device)

/** What `make` gives, on the host. */
async function values(make: () => readonly (Tensor | undefined)[]): Promise<HostArray[]> {
  const made = scope(make).filter((t) => t !== undefined)
  try {
    return await Promise.all(made.map((t) => t.read()))
  } finally {
    for (const t of made) t.release()
  }
}

const withoutRows: Readonly<Record<string, (x: Tensor, w: Tensor) => Tensor>> = {
  linear: (x, weight) => linear({ x, weight }),
  'linear with gelu': (x, weight) => linear({ x, weight }, { activation: 'gelu' }),
  'linear with its loss': (x, weight) =>
    linearCrossEntropy({ x, weight, targets: integers(), denominator: filled(1, 1) }),
}

for (const [name, op] of Object.entries(withoutRows))
  test.serial(`${name}: a batch without rows gives a gradient of zeros`, async (t) => {
    const [sum, dx, dweight] = await values(() => {
      const x = filled(1, 0, 5)
      const weight = filled(1, 4, 5)
      const [out, grads] = differentiate([x, weight], () => {
        const y = op(x, weight)
        return weightedSum({ x: y, weights: filled(1, ...y.shape) })
      })
      return [out, ...grads]
    })
    t.deepEqual(sum, Float32Array.of(0))
    t.deepEqual(dx, new Float32Array(0))
    t.deepEqual(dweight, new Float32Array(20))
  })

test.serial('layerNorm: a batch without rows gives a gradient of zeros', async (t) => {
  const grads = await values(() => {
    const [weight, bias] = [filled(1, 5), filled(1, 5)]
    const sum = () =>
      weightedSum({
        x: layerNorm({ x: filled(1, 0, 5), weight, bias }),
        weights: filled(1, 0, 5),
      })
    return differentiate([weight, bias], sum)[1]
  })
  t.deepEqual(grads, [new Float32Array(5), new Float32Array(5)])
})

// A GPU cannot throw in the middle of its work: there a wrong id gives NaN, which ends in an error later.
if (device.name === 'cuda')
  test.serial('embedding: ids outside the tables give NaN', async (t) => {
    const [out, loss] = await values(() => [
      embedding({
        tokens: integers(1, 4, -1, 2, 3),
        positions: integers(0, 1, 1, 2, 1),
        tokenWeight: filled(1, 4, 8),
        positionWeight: filled(1, 2, 8),
      }),
      tokenLoss({
        x: filled(1, 3, 1),
        weight: tensor([3, 1, 2, 2], [4, 1], device),
        targets: integers(4, 0, -1),
      }),
    ])
    const wrong = [1, 2, 3]
    const expected = Float32Array.from({ length: 40 }, (_, i) =>
      wrong.includes(Math.floor(i / 8)) ? Number.NaN : 2,
    )
    t.deepEqual(out, expected)
    t.deepEqual(loss && Array.from(loss, (value) => Number.isNaN(value)), [true, false, true])
  })
else
  test.serial('embedding: ids outside the tables are named', async (t) => {
    const wrongToken = values(() => [
      embedding({ tokens: integers(1, 4), tokenWeight: filled(1, 4, 5) }),
    ])
    await t.throwsAsync(wrongToken, {
      message: 'embedding: expected tokens from 0 to 3, received 4 at index 1',
      code: 'ERR_ARGUMENT',
    })
    const wrongPosition = values(() => [
      embedding({
        tokens: integers(1, 2),
        positions: integers(-1, 0),
        tokenWeight: filled(1, 4, 5),
        positionWeight: filled(1, 2, 5),
      }),
    ])
    await t.throwsAsync(wrongPosition, {
      message: /expected positions from 0 to 1, received -1 at index 0/,
    })
  })

test.serial(
  'tokenLoss: rank counts the classes before the target; ignored tokens have none',
  async (t) => {
    const inputs = (...targets: number[]) => ({
      x: filled(1, targets.length, 1),
      weight: tensor([3, 1, 2, 2], [4, 1], device),
      targets: integers(...targets),
    })
    const [losses, ranks] = await values(() => {
      const { out, rank } = tokenLoss.withExtras(inputs(0, 1, 2, 3, 9), { ignoreIndex: 9 })
      return [out, rank]
    })
    t.deepEqual(ranks, Int32Array.of(0, 3, 1, 1, -1))
    t.is(losses?.[4], 0)
    if (device.name === 'cuda') return
    await t.throwsAsync(
      values(() => [tokenLoss(inputs(4))]),
      { message: /expected targets from 0 to 3 or ignoreIndex -100, received 4 at index 0/ },
    )
  },
)
