/** Devices and the messages of architecture and build: what is not there, what does not fit, what ran out of memory. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import { nearest } from '../ts/errors.js'
import { openDevice, packageRoot, synchronize } from '../ts/native.js'
import { linear } from '../ts/ops/linear.js'
import { empty, memory, scope, tensor, zeros } from '../ts/tensor.js'

// A build with GPU kernels beside it has other reasons.
process.env.CAPTIONEER_VARIANT = 'cpu'
const device = openDevice('cpu')

test('a device that is not there says why and what to do', (t) => {
  t.throws(() => openDevice('cuda'), {
    code: 'ERR_DEVICE',
    message:
      'device "cuda" is unavailable: this build has no GPU kernels. Rebuild with: npm run build -- --gpu',
  })
  t.throws(() => openDevice('tpu' as never), {
    code: 'ERR_ARGUMENT',
    message: "device: expected the name to be 'auto', 'cpu' or 'cuda', received \"tpu\"",
  })
  t.is(openDevice('auto').name, 'cpu')
  t.is(openDevice('cpu'), device, 'opened once')
})

test('on the CPU numbers that are not normal are 0: with them training became six times slower', async (t) => {
  const size = 64
  const filled = (value: number) =>
    tensor(new Float32Array(size * size).fill(value), [size, size], device)
  // Operands: 1e-39. Results: 64 times 1e-40.
  for (const [x, weight] of [
    [1e-39, 1],
    [1e-20, 1e-20],
  ] as const) {
    const product = await linear({ x: filled(x), weight: filled(weight) }).readFloats()
    t.true(
      product.every((value) => value === 0),
      `${x} * ${weight}: ${product[0]}`,
    )
  }
})

test('an addon that cannot be loaded tells each path, the reason and what to do', (t) => {
  const script = `import(${JSON.stringify(pathToFileURL(join(packageRoot, 'dist/ts/native.js')).href)})
    .then((native) => native.openDevice('cpu')).catch((error) => console.log(error.code + '\\n' + error.message))`
  const { stdout } = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
    env: { ...process.env, CAPTIONEER_VARIANT: 'nonsense' },
  })
  t.regex(stdout, /^ERR_DEVICE\ncaptioneer: its native addon could not be loaded\./)
  t.regex(stdout, /nonsense \(.*nonsense\): not built: there is no .*build.nonsense/)
  t.regex(stdout, /Possible solutions:\n.*CAPTIONEER_VARIANT asks for "nonsense" alone/)
})

test.serial(
  'too large a tensor is an OutOfMemoryError with what to change, and work goes on',
  async (t) => {
    const held = zeros([10, 10], 'float32', device)
    const error = t.throws(() => empty([64, 32, 4096, 65536], 'float32', device), {
      code: 'ERR_OUT_OF_MEMORY',
    })
    t.regex(
      error?.message ?? '',
      /^out of memory: asked for 2048\.00 GiB for \[64, 32, 4096, 65536\] float32; .* of .* GiB free, \d+ tensors alive \(largest: .*\)\. Use a smaller batch size$/,
    )
    t.deepEqual([...(await held.readFloats())], new Array(100).fill(0))
    held.release()
  },
)

test('shapes that do not fit name both and the rule', (t) => {
  scope(() => {
    const x = zeros([4, 8], 'float32', device)
    const weight = zeros([3, 7], 'float32', device)
    const error = t.throws(() => linear({ x, weight }), { code: 'ERR_SHAPE' })
    t.regex(error?.message ?? '', /^linear: .*\[4, 8\].*\[3, 7\]|^linear: .*\[3, 7\].*\[4, 8\]/)
    t.throws(() => linear({ x: tensor(Int32Array.of(1), [1, 1], device), weight }), {
      code: 'ERR_DTYPE',
      message: 'linear: x must be float32, received int32',
    })
  })
})

test('a kernel called with the wrong number of arguments is our bug, and says so', (t) => {
  const raw = device.native.kernels.fill as (...args: number[]) => void
  t.throws(() => raw(1), { code: 'ERR_INTERNAL', message: /fill takes 2 arguments, received 1/ })
})

test.serial(
  'an error inside a kernel rejects the next wait, once, and the queue goes on',
  async (t) => {
    const bytes = tensor(Uint8Array.of(1, 2), [2], device)
    device.kernels.fill(bytes, 1)
    await t.throwsAsync(synchronize(device), {
      code: 'ERR_ARGUMENT',
      message: 'fill: expected a float32, bfloat16 or int32 tensor',
    })
    await t.notThrowsAsync(synchronize(device))
    bytes.release()
  },
)

test.serial('kernels are counted and timed on request', async (t) => {
  const before = memory(device).liveTensors
  device.native.setProfiling(true)
  const a = zeros([1000], 'float32', device)
  device.kernels.accumulate(a, a)
  await synchronize(device)
  const { fill, accumulate } = device.native.timings()
  device.native.setProfiling(false)
  t.is(fill?.[0], 1)
  t.is(accumulate?.[0], 1)
  a.release()
  t.is(memory(device).liveTensors, before)
})

test('the nearest valid name, or none', (t) => {
  t.is(nearest('lernrate', ['learningRate', 'weightDecay']), undefined)
  t.is(nearest('learningrat', ['learningRate', 'weightDecay']), 'learningRate')
  t.is(nearest('tine', ['tiny', 'resnet18-transformer']), 'tiny')
})
