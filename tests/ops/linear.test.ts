/** The linear layer at every number of rows where a backend may change its way, with sizes that fill no vector. */
import test from 'ava'
import { linear } from '../../ts/ops/linear.js'
import { createRandom } from '../../ts/random.js'
import { scope, type Tensor, tensor } from '../../ts/tensor.js'
import { device } from '../device.js'

const rowCounts = [1, 2, 3, 4, 5, 6, 7, 13, 32, 33, 95, 97, 200]
const sizes = [
  [5, 3],
  [67, 19],
  [70, 64],
  [34, 150],
] as const

function random(count: number, seed: number): Float32Array {
  const next = createRandom(seed)
  return Float32Array.from({ length: count }, () => 2 * next() - 1)
}

/** relu(x weight^T + bias) + residual in double precision. */
function expected(parts: Parts, rows: number, outputs: number, inputs: number): Float64Array {
  const { x, weight, bias, residual } = parts
  return Float64Array.from({ length: rows * outputs }, (_, i) => {
    const [row, output] = [Math.floor(i / outputs), i % outputs]
    let sum = bias[output] ?? 0
    for (let c = 0; c < inputs; c++)
      sum += (x[row * inputs + c] ?? 0) * (weight[output * inputs + c] ?? 0)
    return Math.max(0, sum) + (residual[i] ?? 0)
  })
}

type Parts = Readonly<Record<'x' | 'weight' | 'bias' | 'residual', Float32Array>>

function run({ x, weight, bias, residual }: Parts, rows: number, outputs: number, inputs: number) {
  return scope(
    (): Tensor =>
      linear(
        {
          x: tensor(x, [rows, inputs], device),
          weight: tensor(weight, [outputs, inputs], device),
          bias: tensor(bias, [outputs], device),
          residual: tensor(residual, [rows, outputs], device),
        },
        { activation: 'relu' },
      ),
  )
}

for (const [outputs, inputs] of sizes)
  test(`linear of 1 to 200 rows, ${inputs} to ${outputs} channels`, async (t) => {
    for (const rows of rowCounts) {
      const parts = {
        x: random(rows * inputs, 1),
        weight: random(outputs * inputs, 2),
        bias: random(outputs, 3),
        residual: random(rows * outputs, 4),
      }
      const out = run(parts, rows, outputs, inputs)
      const found = await out.readFloats()
      out.release()
      const right = expected(parts, rows, outputs, inputs)
      const worst = Math.max(...found.map((value, i) => Math.abs(value - (right[i] ?? 0))))
      // Float32 on the CPU; a GPU multiplies float32 in three parts of lower precision.
      t.true(worst < 1e-4, `${rows} rows: off by ${worst}`)
    }
  })
