/**
 * The CUDA runtime layer on the emulated card: no memory left, kernels that fail, cards that will not do, and copies
 * that must not be lost. Each case is a process of its own, because the settings of a process are fixed.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import { packageRoot } from '../../ts/native.js'

/** What a script prints; `captioneer` is the public API in it. */
function run(script: string, environment: Readonly<Record<string, string>> = {}): string {
  const api = pathToFileURL(join(packageRoot, 'dist/ts/index.js')).href
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', `import * as captioneer from ${JSON.stringify(api)}\n${script}`],
    {
      encoding: 'utf8',
      env: { ...process.env, CAPTIONEER_VARIANT: 'emulated', ...environment },
    },
  )
  return stdout + stderr
}

test('the emulated card is the default device and says what it is', (t) => {
  const out = run(`
    const device = captioneer.openDevice()
    console.log(device.name, device.description)`)
  t.regex(
    out,
    /^cuda CUDA emulator, compute capability 9\.0 \(sm_90, \d+ multiprocessors, CUDA 13\.0\)/,
  )
})

test('out of memory: a typed error that names the tensor, freed blocks are used first, work goes on', (t) => {
  const out = run(
    `
    const device = captioneer.openDevice('cuda')
    const { empty, zeros } = captioneer
    const half = () => empty([8 << 20], 'uint8', device)
    half().release() // cached by the allocator, to be given back for what follows
    empty([12 << 20], 'uint8', device).release()
    const held = zeros([4], 'float32', device)
    try { empty([64 << 20], 'uint8', device) } catch (error) { console.log(error.code, error.message) }
    console.log((await held.readFloats()).join())`,
    { CAPTIONEER_EMULATOR_MEMORY: String(16 << 20) },
  )
  t.regex(out, /^ERR_OUT_OF_MEMORY out of GPU memory: asked for 0\.06 GiB for \[67108864\] uint8; /)
  t.regex(out, /Use a smaller batch size\n0,0,0,0\n$/)
})

test('scratch memory that is not there is an error of the kernel that wanted it', (t) => {
  const out = run(
    `
    const device = captioneer.openDevice('cuda')
    const x = captioneer.zeros([1 << 16], 'float32', device)
    const norm = captioneer.zeros([1], 'float32', device)
    device.kernels.gradientNorm(norm, x)
    await captioneer.synchronize(device).catch((error) => console.log(error.code, error.message))`,
    { CAPTIONEER_EMULATOR_MEMORY: String(1 << 20) },
  )
  t.regex(out, /^ERR_OUT_OF_MEMORY gradient_norm: out of GPU memory in scratch memory/)
})

test('a card that is not there is refused with the reason', (t) => {
  const out = run(
    `try { captioneer.openDevice('cuda') } catch (error) { console.log(error.code, error.message) }
    console.log(captioneer.openDevice('auto').name)`,
    { CAPTIONEER_GPU: '3' },
  )
  t.is(
    out,
    'ERR_DEVICE device "cuda" is unavailable: CAPTIONEER_GPU asks for GPU 3; there are 1, counted from 0\ncpu\n',
  )
})

test('writes and reads of all sizes keep their order and their bytes', (t) => {
  const out = run(`
    const device = captioneer.openDevice('cuda')
    const { tensor, synchronize } = captioneer
    let wrong = 0
    for (const size of [1, 1000, 16384, 70000, 300000]) {
      const x = tensor(new Float32Array(size), [size], device)
      const reads = []
      for (let round = 0; round < 5; round++) {
        const data = Float32Array.from({ length: size }, (_, i) => i + round)
        x.write(data)
        data.fill(-1) // the write must have taken its own copy
        reads.push(x.readFloats())
      }
      for (const [round, values] of (await Promise.all(reads)).entries())
        for (const [i, value] of values.entries()) if (value !== i + round) wrong++
      x.release()
    }
    await synchronize(device)
    console.log(wrong, captioneer.memory(device).liveTensors)`)
  t.is(out, '0 0\n')
})
