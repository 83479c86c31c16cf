/** What the samples cannot show of dropout: statistics, independence of call sites and steps, backward's mask. */
import test, { type ExecutionContext } from 'ava'
import { dropout } from '../../ts/ops/dropout.js'
import { weightedSum } from '../../ts/ops/weighted-sum.js'
import { differentiate } from '../../ts/tape.js'
import { scope, tensor } from '../../ts/tensor.js'
import { device } from '../device.js'

const count = 300_007

interface Site {
  readonly probability?: number
  readonly tag?: number
  readonly rng?: readonly number[]
  readonly elements?: number
}

/** The factors of all elements: dropout of ones. */
async function factors(site: Site): Promise<Float32Array> {
  const { probability = 0.1, tag = 0, rng = [1, 2, 3], elements = count } = site
  const out = scope(() =>
    dropout(
      {
        x: tensor(new Float32Array(elements).fill(1), [elements], device),
        rng: tensor(Int32Array.from(rng), [3], device),
      },
      { probability, tag },
    ),
  )
  const values = await out.readFloats()
  out.release()
  return values
}

function kept(values: Float32Array): number {
  return values.reduce((sum, value) => sum + (value > 0 ? 1 : 0), 0)
}

for (const probability of [0.05, 0.1, 0.5, 0.9])
  test(`dropout ${probability}: the share of dropped elements is right within four sigma`, async (t) => {
    const values = await factors({ probability })
    const sigma = Math.sqrt(count * probability * (1 - probability))
    t.true(Math.abs(kept(values) - count * (1 - probability)) < 4 * sigma)
    const scale = values.find((value) => value > 0) ?? 0
    t.true(values.every((value) => value === 0 || value === scale))
    t.true(Math.abs(scale * (1 - probability) - 1) < 1e-4)
  })

test('dropout: neighbours are dropped independently', async (t) => {
  const values = await factors({ probability: 0.5 })
  for (const distance of [1, 2, 4, 8, 512, 4096]) {
    let equal = 0
    for (let i = distance; i < count; i++) if (values[i] === values[i - distance]) equal++
    const pairs = count - distance
    t.true(Math.abs(equal - pairs / 2) < 4 * Math.sqrt(pairs / 4), `distance ${distance}`)
  }
})

test('dropout: the same seed, step and tag give the same mask, whatever the number of elements', async (t) => {
  const all = await factors({})
  t.deepEqual(await factors({}), all)
  t.deepEqual(await factors({ elements: 4099 }), all.slice(0, 4099))
})

test('dropout: another tag, step or half of the seed gives an independent mask', async (t) => {
  const first = await factors({ probability: 0.5 })
  await independent(t, first, { tag: 1 })
  await independent(t, first, { rng: [1, 2, 4] })
  await independent(t, first, { rng: [2, 2, 3] })
  await independent(t, first, { rng: [1, 3, 3] })
})

async function independent(t: ExecutionContext, first: Float32Array, site: Site): Promise<void> {
  const other = await factors({ probability: 0.5, ...site })
  const equal = first.reduce((sum, value, i) => sum + (value === other[i] ? 1 : 0), 0)
  t.true(Math.abs(equal - count / 2) < 4 * Math.sqrt(count / 4), JSON.stringify(site))
}

test('dropout: the backward pass drops what the forward pass dropped', async (t) => {
  const site = { probability: 0.3, tag: 9 }
  const ones = () => tensor(new Float32Array(count).fill(1), [count], device)
  const grad = scope(() => {
    const x = ones()
    const rng = tensor(Int32Array.of(1, 2, 3), [3], device)
    const [, [dx]] = differentiate([x], () =>
      weightedSum({ x: dropout({ x, rng }, site), weights: ones() }),
    )
    return dx
  })
  t.deepEqual(await grad?.readFloats(), await factors(site))
  grad?.release()
})
