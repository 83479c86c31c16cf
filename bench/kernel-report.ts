/**
 * `npm run kernels:report`: what can be known of the CUDA kernels without a GPU. Registers, shared memory and spills as
 * ptxas reports them (build/cuda/kernels.json), and for kernels bound by memory the bytes that they move against those
 * that they must move, counted by the emulator at sizes of a small batch. Times need a GPU: gpu-check/.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { table } from '../ts/cli/format.js'
import { print } from '../ts/cli/terminal.js'
import type { Kernels } from '../ts/kernels.js'
import { type Device, openDevice, packageRoot, synchronize } from '../ts/native.js'
import { type Dtype, scope, type Tensor, tensor } from '../ts/tensor.js'
import { machineFacts } from './machine.js'

interface Resources {
  readonly name: string
  readonly architecture: string
  readonly registers: number
  readonly sharedBytes: number
  readonly spillBytes: number
}

/** One launch, as the emulator writes it. */
interface Launch {
  readonly kernel: string
  readonly read_distinct: number
  readonly read_moved: number
  readonly written_distinct: number
  readonly written_moved: number
}

const folder = mkdtempSync(join(tmpdir(), 'captioneer-profile-'))
const profile = join(folder, 'profile.jsonl')
Object.assign(process.env, {
  CAPTIONEER_VARIANT: 'emulated',
  CAPTIONEER_EMULATOR_CAPABILITY: '8.0',
  CAPTIONEER_EMULATOR_WORKERS: '1',
  CAPTIONEER_EMULATOR_PROFILE: profile,
})

/** A tensor of this shape with some numbers in it. */
type Make = (shape: readonly number[], dtype?: Dtype, value?: (i: number) => number) => Tensor

/** The kernels that should be bound by memory, in bf16, at sizes whose tails do not count. */
const cases: readonly ((k: Kernels, make: Make) => void)[] = [
  (k, make) => {
    const x = make([1024, 512])
    k.add(make([1024, 512]), x, make([1024, 512]))
    k.copy(make([1024, 512], 'float32'), x)
  },
  (k, make) => {
    const [rows, columns] = [512, 512] as const
    const [x, weight, bias] = [
      make([rows, columns]),
      make([columns], 'float32'),
      make([columns], 'float32'),
    ]
    const [mean, rstd] = [make([rows], 'float32'), make([rows], 'float32')]
    k.layerNorm(make([rows, columns]), mean, rstd, x, weight, bias, 1e-5)
    const parameter = () => make([columns], 'float32')
    k.layerNormBackward(
      make([rows, columns]),
      parameter(),
      parameter(),
      make([rows, columns]),
      x,
      weight,
      mean,
      rstd,
    )
    k.rmsNorm(make([rows, columns]), rstd, x, weight, 1e-5)
    k.rmsNormBackward(make([rows, columns]), parameter(), make([rows, columns]), x, weight, rstd)
  },
  (k, make) => {
    const [rows, columns] = [512, 256] as const
    const positions = make([rows], 'int32', (i) => i % 20)
    k.rotary(make([rows, 768]), make([rows, 768]), positions, 32, 512, 10_000, false)
    const wide = make([rows, 2 * columns])
    k.swiglu(make([rows, columns]), wide)
    k.swigluBackward(make([rows, 2 * columns]), make([rows, columns]), wide)
    const [x, scale] = [make([rows, columns]), make([columns], 'float32')]
    k.layerScale(make([rows, columns]), x, scale, make([rows, columns]))
    const sums = make([columns], 'float32')
    k.layerScaleBackward(make([rows, columns]), sums, make([rows, columns]), x, scale)
  },
  (k, make) => {
    const rng = make([3], 'int32')
    k.dropout(make([512, 512]), make([512, 512]), make([512, 512]), rng, 0.1, 1)
  },
  (k, make) => {
    const tokens = make([512], 'int32', (i) => (i * 37) % 900)
    const positions = make([512], 'int32', (i) => i % 20)
    k.embedding(make([512, 512]), tokens, positions, make([1000, 512]), make([32, 512]), 1)
    k.embeddingBackward(
      make([1000, 512], 'float32'),
      make([32, 512], 'float32'),
      make([512, 512]),
      tokens,
      positions,
      1,
    )
  },
  (k, make) => {
    const pixels = make([2, 64, 64, 3], 'uint8')
    const [mean, std] = [make([3], 'float32'), make([3], 'float32', () => 1)]
    k.normalizeImage(make([2, 64, 64, 4]), pixels, mean, std, undefined)
  },
  (k, make) => {
    const [x, out] = [make([2, 56, 56, 64]), make([2, 28, 28, 64])]
    k.maxPool(out, x, 3, 2, 1)
    k.maxPoolBackward(make([2, 56, 56, 64]), make([2, 28, 28, 64]), x, out, 3, 2, 1)
    k.adaptiveAveragePool(make([2, 1, 1, 64]), x)
    k.adaptiveAveragePool(make([2, 14, 14, 64]), make([2, 8, 8, 64]))
    k.adaptiveAveragePoolBackward(make([2, 56, 56, 64]), make([2, 1, 1, 64]))
  },
  (k, make) => {
    const [x, gate] = [make([2, 56, 56, 64]), make([2, 64])]
    k.channelGate(make([2, 56, 56, 64]), x, gate)
    k.channelGateBackward(make([2, 56, 56, 64]), make([2, 64]), make([2, 56, 56, 64]), x, gate)
  },
  (k, make) => {
    const tokens = make([8, 197, 256])
    k.imageTokens(tokens, make([8, 14, 14, 256]), make([256]), make([197, 256]))
    const sums = [make([256], 'float32'), make([197, 256], 'float32')] as const
    k.imageTokensBackward(make([8, 14, 14, 256]), ...sums, tokens)
  },
  (k, make) => {
    const [pixels, channels] = [[2, 28, 28] as const, 64]
    const x = make([...pixels, channels])
    const weight = make([channels, 3, 3, 1])
    const vector = () => make([channels], 'float32', () => 1)
    const [y, out] = [make([...pixels, channels]), make([...pixels, channels])]
    const [mean, rstd, gamma, beta] = [vector(), vector(), vector(), vector()]
    const place = [1, 1, 1, channels] as const
    k.convolutionBatchNorm(
      out,
      y,
      mean,
      rstd,
      vector(),
      vector(),
      x,
      weight,
      gamma,
      beta,
      undefined,
      ...place,
      2,
      0.1,
      1e-5,
    )
    const dweight = make([channels, 3, 3, 1], 'float32')
    k.convolutionBatchNormBackward(
      make([...pixels, channels]),
      dweight,
      vector(),
      vector(),
      undefined,
      make([...pixels, channels]),
      undefined,
      y,
      mean,
      rstd,
      x,
      weight,
      gamma,
      beta,
      ...place,
      2,
    )
  },
  (k, make) => {
    const n = 1 << 18
    const [grad, norm, state] = [make([n], 'float32'), make([1], 'float32'), make([4], 'float32')]
    k.gradientNorm(norm, grad)
    k.optimizerStep(
      make([n], 'float32'),
      make([n]),
      make([n], 'float32'),
      make([n], 'float32'),
      grad,
      norm,
      state,
      0,
      true,
      false,
      1,
      0.9,
      0.999,
      1e-8,
      0.01,
      1,
      0,
    )
    k.averageWeights(make([n], 'float32'), make([n], 'float32'), state, 0.999)
  },
  (k, make) => {
    const [rows, channels, vocabulary] = [128, 64, 4096]
    const targets = make([rows], 'int32', (i) => (i * 31) % vocabulary)
    k.linearCrossEntropy(
      make([1], 'float32'),
      make([rows], 'float32'),
      undefined,
      make([rows, channels]),
      make([vocabulary, channels], 'float32'),
      undefined,
      make([rows, channels]),
      make([vocabulary, channels]),
      undefined,
      targets,
      undefined,
      make([1], 'float32', () => rows),
      0,
      0.1,
    )
  },
  (k, make) => {
    const [rows, length, heads, size] = [4, 64, 8, 64]
    const columns = heads * size
    const offsets = make([rows + 1], 'int32', (i) => i * length)
    const tokens = () => make([rows * length, columns])
    const [q, keys, v, out] = [tokens(), tokens(), tokens(), tokens()]
    const logSumExp = make([heads, rows * length], 'float32')
    const rest = [offsets, offsets, undefined, heads, 1, true, 0, 0, length, length] as const
    k.attention(out, logSumExp, q, keys, v, ...rest)
    k.attentionBackward(tokens(), tokens(), tokens(), tokens(), out, logSumExp, q, keys, v, ...rest)
  },
]

function makerOf(device: Device): Make {
  return (shape, dtype = 'bfloat16', value = (i) => ((i * 7) % 13) / 8 - 0.75) => {
    const size = shape.reduce((product, n) => product * n, 1)
    const numbers = Array.from({ length: size }, (_, i) => value(i))
    // The upper half of a float32 is a bfloat16.
    if (dtype === 'bfloat16') {
      const bits = new Uint32Array(Float32Array.from(numbers).buffer)
      return tensor(
        Uint16Array.from(bits, (word) => word >>> 16),
        shape,
        device,
      )
    }
    if (dtype === 'float32') return tensor(numbers, shape, device)
    return tensor(
      numbers.map((x) => Math.abs(Math.trunc(x))),
      shape,
      device,
      dtype,
    )
  }
}

/** Bytes of all launches of a kernel: moved in sectors of 32 bytes, and the distinct ones that had to be. */
function trafficOf(launches: readonly Launch[]) {
  const sums = new Map<string, { launches: number; moved: number; must: number }>()
  for (const one of launches) {
    const sum = sums.get(one.kernel) ?? { launches: 0, moved: 0, must: 0 }
    sum.launches++
    sum.moved += one.read_moved + one.written_moved
    sum.must += one.read_distinct + one.written_distinct
    sums.set(one.kernel, sum)
  }
  return [...sums]
    .map(([kernel, sum]) => ({
      kernel,
      ...sum,
      ratio: Math.round((100 * sum.moved) / sum.must) / 100,
    }))
    .sort((a, b) => a.kernel.localeCompare(b.kernel))
}

const device = openDevice('cuda')
const make = makerOf(device)
for (const one of cases) {
  scope(() => one(device.kernels, make))
  await synchronize(device)
}
const launches = readFileSync(profile, 'utf8')
  .split('\n')
  .filter((line) => line.includes('"read_distinct"'))
  .map((line) => JSON.parse(line) as Launch)
rmSync(folder, { recursive: true })
const traffic = trafficOf(launches)
print(
  table([
    ['kernel', 'launches', 'moves, KB', 'must move, KB', 'ratio'],
    ...traffic.map(({ kernel, launches: count, moved, must, ratio }) => [
      kernel.slice(0, 60),
      String(count),
      (moved / 1000).toFixed(0),
      (must / 1000).toFixed(0),
      ratio.toFixed(2),
    ]),
  ]),
)

const built = join(packageRoot, 'build', 'cuda', 'kernels.json')
const resources = existsSync(built) ? (JSON.parse(readFileSync(built, 'utf8')) as Resources[]) : []
const out = process.argv[2]
if (out) {
  const facts = { ...machineFacts(), command: 'npm run kernels:report -- FILE' }
  const opened = JSON.stringify(facts).slice(0, -1)
  const shown = resources.map(({ name, architecture, registers, sharedBytes, spillBytes }) => ({
    name,
    architecture,
    registers,
    sharedBytes,
    spillBytes,
  }))
  const rows = (list: readonly object[]) =>
    `[\n${list.map((row) => JSON.stringify(row)).join(',\n')}\n]`
  writeFileSync(out, `${opened},\n"traffic": ${rows(traffic)},\n"resources": ${rows(shown)}}\n`)
}
