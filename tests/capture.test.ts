/** Captured steps: the same bits as eager ones, inputs written between replays, memory, refusals, errors in a replay. */
import ava, { type ExecutionContext } from 'ava'
import { capture } from '../ts/capture.js'
import { synchronize } from '../ts/native.js'
import { layerNorm } from '../ts/ops/layer-norm.js'
import { linear } from '../ts/ops/linear.js'
import { linearCrossEntropy } from '../ts/ops/linear-cross-entropy.js'
import { createRandom } from '../ts/random.js'
import { createStepCache, upload } from '../ts/step-cache.js'
import { differentiate } from '../ts/tape.js'
import { empty, memory, scope, type Tensor, tensor, zeros } from '../ts/tensor.js'
import { device } from './device.js'

// One after another, because tests look at the memory of the device that they share.
const test = ava.serial

/** Runs a test in a scope that is none: frees the given tensors, then nothing may be left. */
async function balanced(t: ExecutionContext, body: (hold: Hold) => Promise<void>): Promise<void> {
  await synchronize(device)
  const before = memory(device)
  const held: Tensor[] = []
  await body((made) => {
    held.push(made)
    return made
  })
  for (const made of held) made.release()
  const after = memory(device)
  t.is(after.liveTensors, before.liveTensors, 'tensors left')
  t.is(after.liveBytes, before.liveBytes, 'bytes left')
}

type Hold = (made: Tensor) => Tensor

function numbers(n: number, seed: number): Float32Array {
  const random = createRandom(seed)
  return Float32Array.from({ length: n }, () => random() - 0.5)
}

/** Forward and backward of a small network, with every tensor that a step makes on the way. */
function network(hold: Hold) {
  const [rows, columns, classes] = [33, 48, 17]
  const x = hold(empty([rows, columns], 'float32', device))
  const weight = hold(tensor(numbers(columns * columns, 1), [columns, columns], device))
  const gain = hold(tensor(numbers(columns, 2), [columns], device))
  const output = hold(tensor(numbers(classes * columns, 3), [classes, columns], device))
  const step = () => {
    const targets = tensor(
      Int32Array.from({ length: rows }, (_, i) => i % classes),
      [rows],
      device,
    )
    const denominator = tensor([rows], [1], device)
    const [loss, grads] = differentiate([weight, output], () => {
      let h = x
      for (let layer = 0; layer < 4; layer++)
        h = layerNorm({
          x: linear({ x: h, weight }, { activation: 'relu' }),
          weight: gain,
          bias: gain,
        })
      return linearCrossEntropy({ x: h, weight: output, targets, denominator })
    })
    return { loss, grads }
  }
  return { x, weight, step, rows, columns }
}

async function valuesOf(tensors: readonly (Tensor | undefined)[]): Promise<Float32Array[]> {
  return Promise.all(tensors.map(async (t) => (await t?.readFloats()) ?? new Float32Array()))
}

test('a replay gives the bits of the eager step, for whatever its inputs hold then', async (t) => {
  await balanced(t, async (hold) => {
    const { x, weight, step } = network(hold)
    using captured = capture(device, step)
    for (const seed of [7, 8, 9]) {
      x.write(numbers(x.size, seed))
      if (seed === 9) weight.write(numbers(weight.size, 10))
      const eager = scope(step)
      const expected = await valuesOf([eager.loss, ...eager.grads])
      for (const made of [eager.loss, ...eager.grads]) made?.release()
      captured.replay()
      const { loss, grads } = captured.outputs
      t.deepEqual(await valuesOf([loss, ...grads]), expected)
      t.true(Number.isFinite(expected[0]?.[0]))
    }
  })
})

test('recording runs nothing', async (t) => {
  await balanced(t, async (hold) => {
    const sum = hold(zeros([4], 'float32', device))
    const one = hold(tensor([1, 1, 1, 1], [4], device))
    using captured = capture(device, () => device.kernels.accumulate(sum, one))
    t.deepEqual([...(await sum.readFloats())], [0, 0, 0, 0])
    for (let i = 0; i < 3; i++) captured.replay()
    t.deepEqual([...(await sum.readFloats())], [3, 3, 3, 3])
  })
})

test('memory freed within a recording is used again, and all of it goes back with the graph', async (t) => {
  const size = 1 << 18
  const chain = (x: Tensor, length: number) => () =>
    scope(() => {
      let h = x
      for (let i = 0; i < length; i++)
        h = scope(() => {
          const out = empty([size], 'float32', device)
          device.kernels.add(out, h, x)
          return out
        })
      return h
    })
  await balanced(t, async (hold) => {
    const x = hold(tensor(numbers(size, 1), [size], device))
    const before = memory(device).liveBytes
    const short = capture(device, chain(x, 3))
    const needed = memory(device).liveBytes - before
    t.true(needed >= 3 * 4 * size, 'all of a scope at once')
    const inTurn = () => {
      for (let i = 0; i < 40; i++) scope(() => void chain(x, 3)())
      return zeros([1], 'float32', device)
    }
    const long = capture(device, inTurn, { shareMemoryWith: short })
    t.true(
      memory(device).liveBytes - before <= 2 * needed,
      'forty times the work, twice the memory',
    )
    short.dispose()
    long.replay()
    await synchronize(device)
    t.true(memory(device).liveBytes > before, 'the memory stays with the graph that shares it')
    long.dispose()
    t.is(memory(device).liveBytes, before)
  })
})

test('outputs live until the graph is disposed, or longer where they were retained', async (t) => {
  await balanced(t, async (hold) => {
    const x = hold(tensor([1, 2, 3], [3], device))
    const captured = capture(device, () => {
      const out = empty([3], 'float32', device)
      device.kernels.add(out, x, x)
      return out
    })
    captured.replay()
    const kept = hold(captured.outputs.retain())
    captured.dispose()
    captured.dispose()
    const others = Array.from({ length: 5 }, (_, i) => hold(tensor([i, i, i], [3], device)))
    t.deepEqual([...(await kept.readFloats())], [2, 4, 6])
    t.throws(() => captured.replay(), { code: 'ERR_DISPOSED', message: /this graph was disposed/ })
    t.is(others.length, 5)
  })
})

test('a tensor that a graph uses outlives its own end', async (t) => {
  await balanced(t, async () => {
    const x = tensor(numbers(1000, 4), [1000], device)
    using captured = capture(device, () => {
      const out = empty([1000], 'float32', device)
      device.kernels.add(out, x, x)
      return out
    })
    x.release()
    const others = Array.from({ length: 8 }, () => zeros([1000], 'float32', device))
    captured.replay()
    const values = await captured.outputs.readFloats()
    t.deepEqual(
      values,
      numbers(1000, 4).map((value) => 2 * value),
    )
    for (const other of others) other.release()
  })
})

test('two graphs in turn, with memory of their own and with the same', async (t) => {
  for (const shared of [false, true])
    await balanced(t, async (hold) => {
      const x = hold(tensor(numbers(4096, 5), [64, 64], device))
      const steps = [1, 2].map((seed) => {
        const weight = hold(tensor(numbers(4096, seed), [64, 64], device))
        return () =>
          scope(() => linear({ x: linear({ x: linear({ x, weight }), weight }), weight }))
      })
      const [first, second] = steps as [() => Tensor, () => Tensor]
      using a = capture(device, first)
      using b = capture(device, second, shared ? { shareMemoryWith: a } : {})
      for (let round = 0; round < 3; round++) {
        x.write(numbers(4096, 20 + round))
        const expected = scope(() => [first(), second()])
        const wanted = await valuesOf(expected)
        for (const made of expected) made.release()
        a.replay()
        const fromA = a.outputs.readFloats()
        b.replay()
        t.deepEqual([await fromA, await b.outputs.readFloats()], wanted)
      }
    })
})

test('what cannot be in a step is refused, and the device goes on', async (t) => {
  await balanced(t, async (hold) => {
    const x = hold(tensor([1, 2], [2], device))
    const refused = (step: () => unknown, message: RegExp) =>
      t.throws(() => capture(device, step), { code: 'ERR_ARGUMENT', message })
    refused(
      () => x.write(Float32Array.of(3, 4)),
      /capture: a tensor was written .* before the replay/,
    )
    let reads = 0
    // Nobody awaits inside a step, so the capture itself must fail.
    refused(() => void x.read().catch(() => reads++), /capture: a tensor was read/)
    refused(() => void synchronize(device).catch(() => reads++), /capture: a tensor was read/)
    refused(() => capture(device, () => x), /capture: called inside a step that is being captured/)
    refused(async () => x, /capture: the step must be synchronous/)
    using other = capture(device, () => device.kernels.add(x, x, x))
    refused(() => other.replay(), /capture: a graph was replayed inside a step/)
    t.throws(
      () =>
        capture(device, () => {
          zeros([3], 'float32', device)
          throw new Error('of the step itself')
        }),
      { message: 'of the step itself' },
    )
    t.deepEqual([...(await x.readFloats())], [1, 2], 'nothing of it has run')
    t.is(reads, 2)
    other.replay()
    t.deepEqual([...(await x.readFloats())], [2, 4])
  })
})

test('an error in a replay rejects the next read, with the kernel that failed, and the graph goes on', async (t) => {
  if (device.name !== 'cpu') {
    t.log('skipped: only the CPU looks at targets while it runs')
    return t.pass()
  }
  await balanced(t, async (hold) => {
    const x = hold(tensor(numbers(8, 1), [2, 4], device))
    const weight = hold(tensor(numbers(12, 2), [3, 4], device))
    const targets = hold(tensor(Int32Array.of(0, 2), [2], device))
    using captured = capture(device, () =>
      linearCrossEntropy({ x, weight, targets, denominator: tensor([2], [1], device) }),
    )
    captured.replay()
    const expected = await captured.outputs.readFloats()
    targets.write(Int32Array.of(0, 3))
    captured.replay()
    await t.throwsAsync(captured.outputs.read(), {
      code: 'ERR_ARGUMENT',
      message: /linear_cross_entropy: .*target/,
    })
    targets.write(Int32Array.of(0, 2))
    captured.replay()
    t.deepEqual(await captured.outputs.readFloats(), expected)
  })
})

test('kernels inside a replay are counted by name', async (t) => {
  await balanced(t, async (hold) => {
    const x = hold(zeros([4], 'float32', device))
    using captured = capture(device, () => {
      device.kernels.fill(x, 1)
      device.kernels.accumulate(x, x)
      device.kernels.accumulate(x, x)
    })
    await synchronize(device)
    device.native.setProfiling(true)
    for (let i = 0; i < 5; i++) captured.replay()
    await synchronize(device)
    const counts = Object.entries(device.native.timings()).map(([name, [count]]) => [name, count])
    device.native.setProfiling(false)
    t.deepEqual(Object.fromEntries(counts), { accumulate: 10, fill: 5 })
    t.deepEqual([...(await x.readFloats())], [4, 4, 4, 4])
  })
})

test('a cache runs a shape eagerly, then captures it, and keeps a few', async (t) => {
  await balanced(t, async (hold) => {
    const cache = createStepCache(device, true)
    const weight = hold(tensor(numbers(64, 1), [8, 8], device))
    let calls = 0
    const run = (rows: number, seed: number) => {
      const data = numbers(rows * 8, seed)
      const once = scope(() =>
        linear({ x: upload({ x: { data, shape: [rows, 8] } }, device).x, weight }),
      )
      const out = cache.run('linear', { x: { data, shape: [rows, 8] } }, ({ x }) => {
        calls++
        return linear({ x, weight })
      })
      const values = valuesOf([out, once])
      out.release()
      once.release()
      return values
    }
    for (let i = 0; i < 6; i++) {
      const [actual, expected] = await run(3, i)
      t.deepEqual(actual, expected)
    }
    t.is(calls, 2, 'once eagerly, once to be recorded')
    const before = memory(device).liveTensors
    for (let rows = 1; rows <= 40; rows++)
      for (let i = 0; i < 3; i++) {
        const [actual, expected] = await run(rows, rows + i)
        t.deepEqual(actual, expected)
      }
    t.true(memory(device).liveTensors - before <= 2 * 16, 'a limited number of graphs')
    cache.dispose()

    const eager = createStepCache(device, false)
    calls = 0
    for (let i = 0; i < 3; i++)
      scope(() => {
        eager.run('x', {}, () => calls++)
        return undefined
      })
    t.is(calls, 3)
    eager.dispose()
  })
})
