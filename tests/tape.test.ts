/** The tape: sums of gradients, what is recorded, and that everything is freed. */
import test from 'ava'
import { openDevice, synchronize } from '../ts/native.js'
import { add } from '../ts/ops/add.js'
import { linear } from '../ts/ops/linear.js'
import { slice } from '../ts/ops/slice.js'
import { weightedSum } from '../ts/ops/weighted-sum.js'
import { differentiate } from '../ts/tape.js'
import { memory, scope, type Tensor, tensor } from '../ts/tensor.js'

const device = openDevice('cpu')
const floats = (...values: number[]) => tensor(values, [values.length], device)

async function values(grad: Tensor | undefined): Promise<number[]> {
  const read = grad ? [...(await grad.readFloats())] : []
  grad?.release()
  return read
}

test.serial('a tensor that is used several times gets the sum', async (t) => {
  const before = memory(device).liveTensors
  const grads = scope(() => {
    const x = floats(1, 2)
    const [, found] = differentiate([x], () => {
      const twice = add({ a: x, b: x })
      return weightedSum({ x: add({ a: twice, b: x }), weights: floats(10, 100) })
    })
    return found
  })
  t.deepEqual(await values(grads[0]), [30, 300])
  await synchronize(device)
  t.is(memory(device).liveTensors, before)
})

test.serial('the slices of one parameter add up in place', async (t) => {
  const grads = scope(() => {
    const x = floats(1, 2, 3, 4)
    const [, found] = differentiate([x], () => {
      const a = slice({ x }, { start: 0, end: 3 })
      const b = slice({ x }, { start: 2, end: 4 })
      return add({
        a: weightedSum({ x: a, weights: floats(1, 2, 3) }),
        b: weightedSum({ x: b, weights: floats(10, 20) }),
      })
    })
    return found
  })
  t.deepEqual(await values(grads[0]), [1, 2, 13, 20])
})

test.serial('no gradient where the loss does not depend on it', async (t) => {
  const grads = scope(() => {
    const unused = floats(3)
    const weight = tensor([1, 1], [1, 2], device)
    const [, found] = differentiate([weight, unused], () =>
      linear({ x: tensor([5, 7], [1, 2], device), weight }),
    )
    return found
  })
  t.deepEqual(await values(grads[0]), [5, 7])
  t.is(grads[1], undefined)
})

test.serial('an error inside the body frees what was recorded', async (t) => {
  const before = memory(device).liveTensors
  t.throws(() =>
    scope(() => {
      const x = floats(1, 2)
      differentiate([x], () => {
        add({ a: x, b: x })
        throw new Error('stop')
      })
    }),
  )
  await synchronize(device)
  t.is(memory(device).liveTensors, before)
})

test.serial('a loss of several numbers is refused', (t) => {
  scope(() => {
    const x = floats(1, 2)
    t.throws(() => differentiate([x], () => add({ a: x, b: x })), {
      code: 'ERR_ARGUMENT',
      message: 'gradients: the loss must be one number, received [2]',
    })
  })
})
