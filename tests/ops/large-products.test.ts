/** Products of more than one block of every axis, forward and both gradients, against sums in double precision. */
import test from 'ava'
import { linear } from '../../ts/ops/linear.js'
import { weightedSum } from '../../ts/ops/weighted-sum.js'
import { createRandom } from '../../ts/random.js'
import { differentiate } from '../../ts/tape.js'
import { tensor, unscoped } from '../../ts/tensor.js'
import { device } from '../device.js'

// [rows, outputs, inputs]: each of the three is the longest once, none a multiple of a block.
const sizes: [number, number, number][] = [
  [70, 1333, 1050],
  [1310, 77, 1041],
  [1299, 531, 133],
  [397, 650, 421],
]

function random(count: number, seed: number): Float32Array {
  const next = createRandom(seed)
  return Float32Array.from({ length: count }, () => 2 * next() - 1)
}

function given<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a result is missing')
  return value
}

/** Root mean square of errors relative to the sum of the products' sizes, over some elements of `found` [rows, columns]. */
function errorOf(
  found: Float32Array,
  [rows, columns, terms]: readonly [number, number, number],
  a: (row: number, term: number) => number,
  b: (column: number, term: number) => number,
): number {
  const next = createRandom(9)
  let total = 0
  const samples = 400
  for (let i = 0; i < samples; i++) {
    const [row, column] = [Math.floor(next() * rows), Math.floor(next() * columns)]
    let [sum, size] = [0, 0]
    for (let term = 0; term < terms; term++) {
      const product = a(row, term) * b(column, term)
      sum += product
      size += Math.abs(product)
    }
    total += (((found[row * columns + column] ?? Number.NaN) - sum) / size) ** 2
  }
  return Math.sqrt(total / samples)
}

for (const [rows, outputs, inputs] of sizes)
  test(`${rows} rows, ${inputs} to ${outputs} channels`, async (t) => {
    const x = random(rows * inputs, 1)
    const weight = random(outputs * inputs, 2)
    const factors = random(rows * outputs, 3)
    const results = unscoped(() => {
      const inX = tensor(x, [rows, inputs], device)
      const inWeight = tensor(weight, [outputs, inputs], device)
      const weights = tensor(factors, [rows, outputs], device)
      const product = () => linear({ x: inX, weight: inWeight })
      const [, gradients] = differentiate([inX, inWeight], () =>
        weightedSum({ x: product(), weights }),
      )
      return [product(), ...gradients.map(given)]
    })
    const [out, dx, dweight] = await Promise.all(results.map((result) => result.readFloats()))
    for (const result of results) result.release()

    const at = (values: Float32Array, width: number) => (row: number, column: number) =>
      values[row * width + column] ?? Number.NaN
    const turned = (values: Float32Array, width: number) => (row: number, column: number) =>
      values[column * width + row] ?? Number.NaN
    const errors = {
      forward: errorOf(given(out), [rows, outputs, inputs], at(x, inputs), at(weight, inputs)),
      dx: errorOf(given(dx), [rows, inputs, outputs], at(factors, outputs), turned(weight, inputs)),
      dweight: errorOf(
        given(dweight),
        [outputs, inputs, rows],
        turned(factors, outputs),
        turned(x, inputs),
      ),
    }
    // A GPU multiplies float32 in three parts of lower precision.
    const most = device.name === 'cpu' ? 1e-7 : 1e-5
    for (const [name, error] of Object.entries(errors)) t.true(error < most, `${name}: ${error}`)
  })

test('what is no number stays in its row and column', async (t) => {
  const [rows, outputs, inputs] = [200, 700, 300]
  const [x, weight] = [random(rows * inputs, 1), random(outputs * inputs, 2)]
  x[13 * inputs + 5] = Number.NaN
  weight[600 * inputs + 299] = Number.POSITIVE_INFINITY
  const out = unscoped(() =>
    linear({
      x: tensor(x, [rows, inputs], device),
      weight: tensor(weight, [outputs, inputs], device),
    }),
  )
  const found = await out.readFloats()
  out.release()
  const wrong = [...found.keys()].filter((i) => {
    const expected = Math.floor(i / outputs) === 13 || i % outputs === 600
    return Number.isFinite(found[i]) === expected
  })
  t.deepEqual(wrong, [])
})
