/** Tensors and scopes: what is freed when, views, reading and writing, use after free. */
import test from 'ava'
import { openDevice, synchronize } from '../ts/native.js'
import {
  empty,
  memory,
  scope,
  type Tensor,
  tensor,
  tensorScope,
  view,
  zeros,
} from '../ts/tensor.js'

const device = openDevice('cpu')

test.serial('a scope frees all but what it returns or keeps', (t) => {
  const before = memory(device)
  let inner: Tensor | undefined
  const kept = scope((s) => {
    inner = zeros([3], 'float32', device)
    const extra = s.keep(zeros([4], 'float32', device))
    const nested = scope(() => ({ a: [zeros([5], 'float32', device)], b: 7 }))
    return { nested, extra }
  })
  t.true(inner?.disposed)
  t.false(kept.nested.a[0]?.disposed)
  t.is(memory(device).liveTensors, before.liveTensors + 2)
  kept.extra.release()
  kept.nested.a[0]?.release()
  t.deepEqual(memory(device).liveBytes, before.liveBytes)
})

test.serial('using ends a scope with its block, also when an error leaves it', (t) => {
  const before = memory(device).liveTensors
  t.throws(() => {
    using _ = tensorScope()
    zeros([3], 'float32', device)
    throw new Error('x')
  })
  t.is(memory(device).liveTensors, before)
})

test.serial('a scope refuses a body that awaits', (t) => {
  const before = memory(device).liveTensors
  t.throws(() => scope(async () => zeros([1], 'float32', device)), { code: 'ERR_ARGUMENT' })
  t.is(memory(device).liveTensors, before)
})

test.serial('a freed tensor says so; freeing twice is harmless', async (t) => {
  const a = zeros([2, 3], 'float32', device)
  a.release()
  a.release()
  t.throws(() => device.kernels.fill(a, 1), {
    code: 'ERR_DISPOSED',
    message: /tensor \[2, 3\] float32 was used after it was freed\. Keep it/,
  })
  await t.throwsAsync(a.read(), { code: 'ERR_DISPOSED' })
})

test.serial(
  'memory that is freed while work on it is queued is reused only after that work',
  async (t) => {
    const out = zeros([1000], 'float32', device)
    for (let i = 1; i <= 200; i++)
      scope(() => {
        const one = tensor(new Float32Array(1000).fill(i), [1000], device)
        device.kernels.accumulate(out, one)
      })
    t.is((await out.readFloats())[999], 20100)
    out.release()
  },
)

test.serial('views share memory, outlive their base, and cannot reach beyond it', async (t) => {
  const before = memory(device)
  const base = tensor(
    Float32Array.from({ length: 12 }, (_, i) => i),
    [3, 4],
    device,
  )
  const rows = view(base, [2, 4], 4)
  const columns = view(base, [3, 2], 1, 4)
  base.release()
  t.deepEqual([...(await rows.readFloats())], [4, 5, 6, 7, 8, 9, 10, 11])
  await t.throwsAsync(columns.read(), { code: 'ERR_ARGUMENT' })
  const copy = empty([3, 2], 'float32', device)
  device.kernels.copy(copy, columns)
  t.deepEqual([...(await copy.readFloats())], [1, 2, 5, 6, 9, 10])
  t.throws(() => view(rows, [3, 4], 0), { code: 'ERR_INTERNAL' })
  t.throws(() => view(rows, [1], -5), { code: 'ERR_INTERNAL' })
  for (const each of [rows, columns, copy]) each.release()
  t.is(memory(device).liveTensors, before.liveTensors)
})

test.serial('every dtype goes to the device and back, and converts', async (t) => {
  const values = [0, 1, -2.5, 3.14159274, 65504, -0]
  const f = tensor(values, [6], device)
  const b = empty([6], 'bfloat16', device)
  const back = empty([6], 'float32', device)
  device.kernels.copy(b, f)
  device.kernels.copy(back, b)
  t.deepEqual([...(await f.readFloats())], values.map(Math.fround))
  t.deepEqual([...(await b.read())].slice(0, 3), [0, 0x3f80, 0xc020])
  t.deepEqual([...(await back.readFloats())], [0, 1, -2.5, 3.140625, 65536, -0])
  const i = tensor(Int32Array.of(-7, 9), [2], device)
  const u = tensor(Uint8Array.of(200, 3), [2], device)
  t.deepEqual([...(await i.read())], [-7, 9])
  t.deepEqual([...(await u.read())], [200, 3])
  for (const each of [f, b, back, i, u]) each.release()
})

test.serial('host arrays of another type or length are refused', (t) => {
  t.throws(() => tensor([1, 2, 3], [2], device), {
    code: 'ERR_SHAPE',
    message: 'tensor: shape [2] holds 2 elements, received 3',
  })
  t.throws(() => tensor(new Float32Array(2), [2], device, 'int32'), { code: 'ERR_DTYPE' })
  t.throws(() => empty([2, -1], 'float32', device), { code: 'ERR_SHAPE' })
})

test.serial('an array may change right after it was written', async (t) => {
  const data = Float32Array.of(1, 2, 3)
  const a = tensor(data, [3], device)
  data.fill(9)
  t.deepEqual([...(await a.readFloats())], [1, 2, 3])
  a.release()
  await synchronize(device)
})
