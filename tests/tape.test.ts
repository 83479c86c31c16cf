/** The tape: sums of gradients, what is recorded, and that everything is freed. */
import test from 'ava'
import { openDevice, synchronize } from '../ts/native.js'
import { add } from '../ts/ops/add.js'
import { linear } from '../ts/ops/linear.js'
import { reshape } from '../ts/ops/reshape.js'
import { slice } from '../ts/ops/slice.js'
import { weightedSum } from '../ts/ops/weighted-sum.js'
import { activeTape, differentiate } from '../ts/tape.js'
import { memory, scope, type Tensor, tensor, view } from '../ts/tensor.js'

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

test.serial(
  'gradients go where they are wanted: of one part, of two, handed on, of none',
  async (t) => {
    const before = memory(device).liveTensors
    const places = scope(() => {
      const x = tensor([5, 7], [1, 2], device)
      const ones = () => tensor([1, 1], [1, 2], device)
      const [once, twice, handedOn, unused] = [ones(), ones(), ones(), ones()]
      const wanted = [once, twice, handedOn, unused]
      const into = wanted.map(() => tensor([-1, -1], [1, 2], device))
      const [, found] = differentiate(
        wanted,
        () => {
          const products = [once, twice, twice].map((weight) => linear({ x, weight }))
          // The gradient of a sum is handed on to its terms.
          const last = weightedSum({ x: add({ a: handedOn, b: x }), weights: x })
          return products.reduce(
            (total, y) => add({ a: total, b: reshape({ x: y }, { shape: [1] }) }),
            last,
          )
        },
        into,
      )
      for (const [i, grad] of found.entries()) t.is(grad, i < 3 ? into[i] : undefined)
      return into
    })
    const read = await Promise.all(places.map(values))
    t.deepEqual(read, [
      [5, 7],
      [10, 14],
      [5, 7],
      [-1, -1],
    ])
    await synchronize(device)
    t.is(memory(device).liveTensors, before)
  },
)

const partCases: Readonly<Record<string, readonly (readonly [start: number, end: number])[]>> = {
  'all of it': [
    [3, 4],
    [0, 3],
  ],
  'with a gap': [
    [0, 1],
    [2, 3],
  ],
  'that overlap': [
    [0, 3],
    [1, 4],
  ],
}

for (const [title, ranges] of Object.entries(partCases))
  for (const placed of [false, true])
    for (const direct of [false, true])
      test.serial(
        `parts of a tensor ${title}${direct ? ', and all of it' : ''}${placed ? ', to a place' : ''}`,
        async (t) => {
          const before = memory(device).liveTensors
          const [rows, x] = [4, [5, 7]]
          const [grad, unused] = scope(() => {
            const weight = tensor(new Float32Array(8), [rows, 2], device)
            const other = tensor(new Float32Array(8), [rows, 2], device)
            const into = placed ? [tensor(new Float32Array(8).fill(9), [rows, 2], device)] : []
            const [, found] = differentiate(
              [weight, other],
              () => {
                part(other, 0, 1)
                const parts = ranges.map(([start, end]) => part(weight, start, end))
                const used = direct ? [...parts, weight] : parts
                const sums = used.map((w) => {
                  const y = linear({ x: tensor(x, [1, 2], device), weight: w })
                  const ones = tensor(new Float32Array(y.size).fill(1), y.shape, device)
                  return weightedSum({ x: y, weights: ones })
                })
                return sums.reduce((a, b) => add({ a, b }))
              },
              into,
            )
            if (placed) t.is(found[0], into[0])
            return found
          })
          const times = Array.from(
            { length: rows },
            (_, row) =>
              ranges.filter(([start, end]) => row >= start && row < end).length + Number(direct),
          )
          t.deepEqual(
            await values(grad),
            times.flatMap((count) => x.map((value) => count * value)),
          )
          t.is(unused, undefined, 'a part into which nothing flows')
          await synchronize(device)
          t.is(memory(device).liveTensors, before)
        },
      )

function part(whole: Tensor, start: number, end: number): Tensor {
  const columns = whole.shape[1] ?? 1
  const rows = view(whole, [end - start, columns], start * columns)
  activeTape()?.trackPart(whole, rows, start * columns)
  return rows
}

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
      message: 'gradients: the loss must be one float32 number, received [2] float32',
    })
  })
})
