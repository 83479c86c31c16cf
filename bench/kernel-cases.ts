/**
 * Single kernels at sizes that fill a GPU, with PyTorch's counterpart, the operations or bytes that bound them, and what
 * they should reach. How they are timed is single-kernels.ts.
 */
import { type Activation, activations } from '../ts/kernels.js'
import type { Device } from '../ts/native.js'
import type { FloatDtype } from '../ts/ops/define-op.js'
import { createRandom } from '../ts/random.js'
import { type Shape, sizeOf, type Tensor, tensor } from '../ts/tensor.js'

/** One kernel, or a forward and its backward one, at one size. */
export interface KernelCase {
  readonly name: string
  /** What peers/kernels.py builds. */
  readonly op: string
  readonly options: Readonly<Record<string, number | string | boolean>>
  /** What must be done: operations of matrix products, or bytes to and from memory, each input and output once. */
  readonly flops?: number
  /** @param half bytes of a float of activations and matrices */
  readonly bytes?: (half: number) => number
  /**
   * What it should reach at least on a GPU: of bytes, the share of the copy bandwidth; of operations, the speed of
   * PyTorch's. None where that is not known beforehand.
   */
  readonly bar?: number
  /** Makes the data; the call returned does the work once. Tensors belong to the innermost scope. */
  prepare(make: Maker): () => void
}

/** Random tensors on a device. */
export interface Maker {
  readonly device: Device
  /** Activations and matrices: bfloat16 on a GPU. */
  readonly dtype: FloatDtype
  random(shape: Shape, dtype?: FloatDtype): Tensor
  ids(count: number, below: number): Tensor
}

export function createMaker(device: Device): Maker {
  const dtype = device.name === 'cuda' ? 'bfloat16' : 'float32'
  const next = createRandom(1)
  const some = Float32Array.from({ length: 100_003 }, () => 4 * next() - 2)
  // The upper half of a float32 is the bfloat16 nearest to 0 of it.
  const upper = new Uint16Array(some.buffer).filter((_, i) => i % 2 === 1)
  const random: Maker['random'] = (shape, wanted = dtype) => {
    const size = sizeOf(shape)
    const values = wanted === 'float32' ? new Float32Array(size) : new Uint16Array(size)
    const part = wanted === 'float32' ? some : upper
    for (let at = 0; at < size; at += part.length)
      values.set(part.subarray(0, Math.min(part.length, size - at)), at)
    return tensor(values, shape, device)
  }
  const ids: Maker['ids'] = (count, below) => {
    const values = Int32Array.from({ length: count }, () => Math.floor(next() * below))
    return tensor(values, [count], device)
  }
  return { device, dtype, random, ids }
}

/** The cases for so many images. */
export function kernelCases(images: number): KernelCase[] {
  const tokens = 197 * images
  const words = 60 * images
  return [
    copy(2 ** 21 * images),
    linear(128 * images, 128 * images, 128 * images, 'none', 'forward', 0.97),
    linear(tokens, 768, 2048, 'gelu', 'forward', 1.05),
    linear(tokens, 2048, 768, 'none', 'forward'),
    linear(tokens, 768, 2048, 'none', 'x'),
    linear(tokens, 768, 2048, 'none', 'weight'),
    linear(words, 256, 1024, 'gelu', 'forward', 1.05),
    ...[
      { size: 56, channels: 64 },
      { size: 28, channels: 128 },
      { size: 14, channels: 256 },
      { size: 7, channels: 512 },
    ].flatMap(({ size, channels }) => {
      const square = { images, size, inputs: channels, outputs: channels, window: 3 }
      return [
        convolution(square, 'forward', 0.95),
        convolution(square, 'x', 0.95),
        convolution(square, 'weight', 0.9),
      ]
    }),
    convolution({ images, size: 56, inputs: 64, outputs: 128, window: 3, stride: 2 }, 'forward'),
    convolution({ images, size: 224, inputs: 3, outputs: 64, window: 7, stride: 2 }, 'forward'),
    convolution({ images, size: 56, inputs: 24, outputs: 144, window: 1 }, 'forward', 0.85),
    ...(['forward', 'x', 'weight'] as const).map((part) =>
      convolution(
        { images, size: 56, inputs: 144, outputs: 144, window: 3, groups: 144 },
        part,
        0.75,
      ),
    ),
    convolutionBatchNorm({ images, size: 56, inputs: 64, outputs: 64, window: 3 }, 'forward'),
    convolutionBatchNorm({ images, size: 56, inputs: 64, outputs: 64, window: 3 }, 'both'),
    layerNorm(1024 * images, 768, 'forward'),
    layerNorm(1024 * images, 768, 'both'),
    ...(['forward', 'both'] as const).flatMap((part) => [
      attention({ rows: images, heads: 8, queries: 197, keys: 197, size: 96 }, part),
      attention(
        { rows: 5 * images, heads: 8, queries: 16, keys: 16, size: 32, causal: true },
        part,
      ),
      attention(
        { rows: 5 * images, rowsPerKey: 5, heads: 8, queries: 16, keys: 49, size: 32 },
        part,
      ),
    ]),
    crossEntropy(words, 256, 10_000),
    adamw(2 ** 20 * images),
  ]
}

function copy(elements: number): KernelCase {
  return {
    name: `copy of ${elements / 2 ** 20} Mi elements`,
    op: 'copy',
    options: { elements },
    bytes: (half) => 2 * half * elements,
    prepare: ({ device, random }) => {
      const [out, x] = [random([elements]), random([elements])]
      return () => device.kernels.copy(out, x)
    },
  }
}

function linear(
  rows: number,
  inputs: number,
  outputs: number,
  activation: Activation,
  part: 'forward' | 'x' | 'weight',
  bar?: number,
): KernelCase {
  const what = {
    forward: activation === 'none' ? '' : `, ${activation}`,
    x: ', dx',
    weight: ', dw',
  }
  return {
    name: `linear [${rows}, ${inputs}] [${outputs}, ${inputs}]${what[part]}`,
    op: 'linear',
    options: { rows, inputs, outputs, gelu: activation === 'gelu', part },
    flops: 2 * rows * inputs * outputs,
    ...(bar === undefined ? {} : { bar }),
    prepare: ({ device, random }) => {
      const [x, weight] = [random([rows, inputs]), random([outputs, inputs])]
      const [bias, out] = [random([outputs], 'float32'), random([rows, outputs])]
      if (part === 'forward') {
        const code = activations[activation]
        return () => device.kernels.linear(out, undefined, x, weight, bias, undefined, code)
      }
      const dx = part === 'x' ? random([rows, inputs]) : undefined
      const dweight = part === 'weight' ? random([outputs, inputs], 'float32') : undefined
      return () =>
        device.kernels.linearBackward(dx, dweight, undefined, out, x, weight, undefined, 0)
    },
  }
}

interface Convolution {
  readonly images: number
  readonly size: number
  readonly inputs: number
  readonly outputs: number
  readonly window: number
  readonly stride?: number
  readonly groups?: number
}

/** Sizes, operations, bytes and a name of a convolution. */
function convolutionFacts({
  images,
  size,
  inputs,
  outputs,
  window,
  stride = 1,
  groups = 1,
}: Convolution) {
  const places = images * Math.ceil(size / stride) ** 2
  const x = [images, size, size, inputs]
  const weight = [outputs, window, window, inputs / groups]
  return {
    x,
    weight,
    out: [images, Math.ceil(size / stride), Math.ceil(size / stride), outputs],
    options: { images, size, inputs, outputs, window, stride, groups },
    numbers: [stride, window >> 1, window >> 1, groups] as const,
    flops: (2 * places * outputs * window * window * inputs) / groups,
    bytes: (half: number) => half * (sizeOf(x) + places * outputs),
    // A product over one place or one channel is over before its data has come.
    boundByBytes: window === 1 || groups > 1,
    name: `[${x}] [${weight}]${stride > 1 ? ` / ${stride}` : ''}`,
  }
}

function convolution(
  sizes: Convolution,
  part: 'forward' | 'x' | 'weight',
  bar?: number,
): KernelCase {
  const { x, weight, out, options, numbers, flops, bytes, boundByBytes, name } =
    convolutionFacts(sizes)
  return {
    name: `convolution ${name}${{ forward: '', x: ', dx', weight: ', dw' }[part]}`,
    op: 'convolution',
    options: { ...options, part },
    ...(boundByBytes ? { bytes } : { flops }),
    ...(bar === undefined ? {} : { bar }),
    prepare: ({ device, random }) => {
      // On a GPU pixels have a fourth channel, which is ignored.
      const stored = device.name === 'cuda' && x[3] === 3 ? [...x.slice(0, 3), 4] : x
      const [input, kernel, output] = [random(stored), random(weight), random(out)]
      const { kernels } = device
      if (part === 'forward')
        return () =>
          kernels.convolution(output, input, kernel, undefined, undefined, ...numbers, 0, 0)
      const dx = part === 'x' ? random(stored) : undefined
      const dw = part === 'weight' ? random(weight, 'float32') : undefined
      const none = undefined
      return () =>
        kernels.convolutionBackward(dx, dw, none, none, output, input, kernel, none, ...numbers, 0)
    },
  }
}

function convolutionBatchNorm(sizes: Convolution, part: 'forward' | 'both'): KernelCase {
  const facts = convolutionFacts(sizes)
  const { options, numbers, name } = facts
  return {
    name: `convolution, batch norm, relu ${name}${part === 'both' ? ', and backward' : ''}`,
    op: 'convolutionBatchNorm',
    options: { ...options, part },
    flops: part === 'both' ? 3 * facts.flops : facts.flops,
    prepare: ({ device, random }) => {
      const [x, weight] = [random(facts.x), random(facts.weight)]
      const [out, y, dout] = [random(facts.out), random(facts.out), random(facts.out)]
      const vector = () => random([sizes.outputs], 'float32')
      const [mean, rstd, runningMean, runningVar, gamma, beta, dgamma, dbeta] = [
        vector(),
        vector(),
        vector(),
        vector(),
        vector(),
        vector(),
        vector(),
        vector(),
      ]
      const [dx, dweight] = [random(facts.x), random(facts.weight, 'float32')]
      const { kernels } = device
      const none = undefined
      const { relu } = activations
      return () => {
        kernels.convolutionBatchNorm(
          ...([out, y, mean, rstd, runningMean, runningVar, x, weight, gamma, beta, none] as const),
          ...([...numbers, relu, 0.1, 1e-5] as const),
        )
        if (part === 'forward') return
        kernels.convolutionBatchNormBackward(
          ...([dx, dweight, dgamma, dbeta, none, dout, none, y, mean, rstd] as const),
          ...([x, weight, gamma, beta, ...numbers, relu] as const),
        )
      }
    },
  }
}

function layerNorm(rows: number, dim: number, part: 'forward' | 'both'): KernelCase {
  return {
    name: `layer norm [${rows}, ${dim}]${part === 'both' ? ', and backward' : ''}`,
    op: 'layerNorm',
    options: { rows, dim, part },
    // Forward reads and writes once; backward reads x and dout and writes dx.
    bytes: (half) => (part === 'both' ? 5 : 2) * half * rows * dim,
    bar: 0.85,
    prepare: ({ device, random }) => {
      const matrix = () => random([rows, dim])
      const vector = (size: number) => random([size], 'float32')
      const [x, out, dx, dout] = [matrix(), matrix(), matrix(), matrix()]
      const [weight, bias, dweight, dbias] = [vector(dim), vector(dim), vector(dim), vector(dim)]
      const [mean, rstd] = [vector(rows), vector(rows)]
      const { kernels } = device
      return () => {
        kernels.layerNorm(out, mean, rstd, x, weight, bias, 1e-5)
        if (part === 'both')
          kernels.layerNormBackward(dx, dweight, dbias, dout, x, weight, mean, rstd)
      }
    },
  }
}

interface Attention {
  readonly rows: number
  readonly rowsPerKey?: number
  readonly heads: number
  readonly queries: number
  readonly keys: number
  readonly size: number
  readonly causal?: boolean
}

function attention(sizes: Attention, part: 'forward' | 'both'): KernelCase {
  const { rows, rowsPerKey = 1, heads, queries, keys, size, causal = false } = sizes
  // Four products of a query and a key forward; backward five of that size, and the first again.
  const products = part === 'both' ? 3.5 : 1
  return {
    name:
      `attention ${rows} x ${heads} x [${queries}, ${keys}, ${size}]${causal ? ' causal' : ''}` +
      (part === 'both' ? ', and backward' : ''),
    op: 'attention',
    options: { rows, rowsPerKey, heads, queries, keys, size, causal, part },
    flops: products * 4 * rows * heads * queries * keys * size * (causal ? 0.5 : 1),
    bar: 1.3,
    prepare: ({ device, random }) => {
      const groups = rows / rowsPerKey
      const [ofQueries, ofKeys] = [
        [rows * queries, heads * size],
        [groups * keys, heads * size],
      ] as const
      const [q, out, dq, dout] = [
        random(ofQueries),
        random(ofQueries),
        random(ofQueries),
        random(ofQueries),
      ]
      const [k, v, dk, dv] = [random(ofKeys), random(ofKeys), random(ofKeys), random(ofKeys)]
      const offsets = (count: number, length: number) =>
        tensor(
          Int32Array.from({ length: count + 1 }, (_, i) => i * length),
          [count + 1],
          device,
        )
      const [queryOffsets, keyOffsets] = [offsets(rows, queries), offsets(groups, keys)]
      const logSumExp = random([heads, rows * queries], 'float32')
      const rest = [
        ...([q, k, v, queryOffsets, keyOffsets, undefined, heads, rowsPerKey] as const),
        ...([causal, 0, 0, queries, keys] as const),
      ] as const
      const { kernels } = device
      return () => {
        kernels.attention(out, logSumExp, ...rest)
        if (part === 'both') kernels.attentionBackward(dq, dk, dv, dout, out, logSumExp, ...rest)
      }
    },
  }
}

function crossEntropy(tokens: number, dim: number, vocabulary: number): KernelCase {
  return {
    name: `linear and cross-entropy [${tokens}, ${dim}] [${vocabulary}, ${dim}], and backward`,
    op: 'crossEntropy',
    options: { tokens, dim, vocabulary },
    flops: 3 * 2 * tokens * dim * vocabulary,
    prepare: ({ device, random, ids }) => {
      const [x, weight, dx] = [
        random([tokens, dim]),
        random([vocabulary, dim]),
        random([tokens, dim]),
      ]
      const [bias, dbias] = [random([vocabulary], 'float32'), random([vocabulary], 'float32')]
      const [loss, dweight] = [random([1], 'float32'), random([vocabulary, dim], 'float32')]
      const [targets, count] = [ids(tokens, vocabulary), tensor([tokens], [1], device)]
      const none = undefined
      return () =>
        device.kernels.linearCrossEntropy(
          ...([
            loss,
            none,
            none,
            dx,
            dweight,
            dbias,
            x,
            weight,
            bias,
            targets,
            none,
            count,
          ] as const),
          -100,
          0.1,
        )
    },
  }
}

function adamw(parameters: number): KernelCase {
  return {
    name: `adamw of ${parameters / 2 ** 20} Mi parameters`,
    op: 'adamw',
    options: { parameters },
    // Weight, gradient and two moments in, weight and moments out; ours also writes the rounded weight.
    bytes: (half) => parameters * (7 * 4 + (half === 2 ? half : 0)),
    bar: 0.9,
    prepare: ({ device, dtype, random }) => {
      const vector = () => random([parameters], 'float32')
      const [weight, m, grad] = [vector(), vector(), vector()]
      // Squares are never negative.
      const v = tensor(new Float32Array(parameters).fill(1e-4), [parameters], device)
      const rounded = dtype === 'bfloat16' ? random([parameters]) : undefined
      const [norm, state] = [tensor([1], [1], device), tensor([1e-4, 1, 0, 0], [4], device)]
      return () =>
        device.kernels.optimizerStep(
          ...([weight, rounded, m, v, grad, norm, state] as const),
          ...([0, true, false, 1, 0.9, 0.999, 1e-8, 0.01, 1, 0] as const),
        )
    },
  }
}
