/** Attention of one query to twelve of an image, with keys that fill no vector: the same however many look at once. */
import test from 'ava'
import { crossAttention } from '../../ts/ops/cross-attention.js'
import { createRandom } from '../../ts/random.js'
import { scope, type Tensor, tensor } from '../../ts/tensor.js'
import { device } from '../device.js'

const [heads, size, most] = [3, 20, 12]
const channels = heads * size
const keyOffsets = [0, 7, 7, 8, 45]
const images = keyOffsets.length - 1
const integers = (...values: number[]) => tensor(Int32Array.from(values), [values.length], device)

function random(count: number, seed: number): Float32Array {
  const next = createRandom(seed)
  return Float32Array.from({ length: count }, () => 4 * next() - 2)
}

const queries = random(images * most * channels, 1)
const keyValues = random((keyOffsets.at(-1) ?? 0) * 2 * channels, 2)

/** softmax(q k^T / sqrt(size)) v of one query and head in double precision. */
function expected(image: number, query: number, head: number): number[] {
  const [first = 0, last = 0] = keyOffsets.slice(image, image + 2)
  const at = (key: number, column: number) => keyValues[key * 2 * channels + column] ?? 0
  const scores = Array.from({ length: last - first }, (_, key) => {
    let sum = 0
    for (let c = head * size; c < (head + 1) * size; c++)
      sum += (queries[(image * most + query) * channels + c] ?? 0) * at(first + key, c)
    return Math.exp(sum / Math.sqrt(size))
  })
  const total = scores.reduce((a, b) => a + b, 0)
  return Array.from({ length: size }, (_, c) =>
    scores.reduce(
      (sum, s, key) => sum + (s / total) * at(first + key, channels + head * size + c),
      0,
    ),
  )
}

/** The first `count` queries of each image. */
function attend(count: number): Tensor {
  const rows = Array.from({ length: images }, (_, image) =>
    Array.from(queries.subarray(image * most * channels, (image * most + count) * channels)),
  )
  return scope(() =>
    crossAttention(
      {
        q: tensor(Float32Array.from(rows.flat()), [images * count, channels], device),
        kv: tensor(keyValues, [keyValues.length / (2 * channels), 2 * channels], device),
        queryOffsets: integers(...Array.from({ length: images + 1 }, (_, i) => i * count)),
        keyOffsets: integers(...keyOffsets),
      },
      { heads, rowsPerKey: 1, maxQueries: count, maxKeys: 37 },
    ),
  )
}

for (const count of [1, 2, 3, 5, 6, 7, most])
  test(`${count} queries of each image`, async (t) => {
    const out = attend(count)
    const found = await out.readFloats()
    out.release()
    let worst = 0
    for (let image = 0; image < images; image++)
      for (let query = 0; query < count; query++)
        for (let head = 0; head < heads; head++)
          for (const [c, right] of expected(image, query, head).entries()) {
            const place = (image * count + query) * channels + head * size + c
            worst = Math.max(worst, Math.abs((found[place] ?? Number.NaN) - right))
          }
    t.true(worst < 2e-5, `off by ${worst}`)
  })
