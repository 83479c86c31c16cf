/** Samples of convolutions, their normalisation, pooling and image normalisation. */
import type { OpSamples, Sample, SampleInput } from '../samples.js'

const of = (...shape: number[]): SampleInput => ({ shape })
const weightOf = (...shape: number[]): SampleInput => {
  const [, R = 1, S = 1, C = 1] = shape
  return { shape, scale: 1 / Math.sqrt(C * R * S) }
}

type Sizes = readonly [B: number, H: number, W: number, C: number, O: number, R: number, S: number]

interface Case {
  readonly sizes: Sizes
  /** Channels of weight, where x has more. */
  readonly used?: number
  readonly options: {
    readonly stride?: number
    readonly padding: number | 'same' | readonly [number, number, number, number]
    readonly groups?: number
    readonly activation?: 'none' | 'relu' | 'relu6' | 'gelu' | 'silu'
  }
  /** The output's size, where there is a residual. */
  readonly residual?: readonly [P: number, Q: number]
}

/** Groups 1, some and all; each padding; stride 2 on odd and even sizes; channels around 8, 16, 32 and 64. */
const cases: readonly Case[] = [
  { sizes: [2, 5, 7, 3, 8, 3, 3], options: { padding: 1 } },
  { sizes: [1, 1, 1, 1, 1, 1, 1], options: { padding: 1 } },
  { sizes: [1, 9, 8, 3, 31, 7, 7], options: { stride: 2, padding: 3, activation: 'relu' } },
  { sizes: [2, 8, 8, 3, 32, 3, 3], options: { stride: 2, padding: 'same', activation: 'relu6' } },
  { sizes: [2, 7, 9, 16, 33, 3, 3], options: { stride: 2, padding: 'same', activation: 'relu' } },
  { sizes: [2, 8, 7, 5, 7, 3, 2], options: { stride: 2, padding: [0, 1, 2, 1] } },
  { sizes: [2, 4, 4, 17, 19, 1, 1], options: { padding: 0 }, residual: [4, 4] },
  { sizes: [1, 5, 5, 32, 16, 1, 1], options: { stride: 2, padding: 0, activation: 'relu' } },
  { sizes: [2, 6, 6, 16, 16, 3, 3], options: { padding: 1, activation: 'relu' }, residual: [6, 6] },
  { sizes: [1, 6, 5, 8, 8, 3, 3], options: { padding: 1, activation: 'relu6' }, residual: [6, 5] },
  { sizes: [2, 6, 6, 32, 32, 3, 3], options: { padding: 1, groups: 32, activation: 'relu6' } },
  { sizes: [2, 7, 7, 24, 24, 3, 3], options: { stride: 2, padding: 'same', groups: 24 } },
  {
    sizes: [1, 8, 8, 9, 9, 3, 3],
    options: { stride: 2, padding: 'same', groups: 9, activation: 'relu' },
  },
  { sizes: [2, 5, 5, 12, 12, 5, 5], options: { padding: 2, groups: 12 }, residual: [5, 5] },
  { sizes: [2, 5, 5, 6, 12, 3, 3], options: { padding: 1, groups: 2, activation: 'relu' } },
  { sizes: [3, 4, 4, 129, 127, 1, 1], options: { padding: 0, activation: 'relu' } },
  { sizes: [0, 5, 5, 3, 4, 3, 3], options: { padding: 1, activation: 'relu' } },
  {
    sizes: [2, 9, 8, 4, 31, 7, 7],
    used: 3,
    options: { stride: 2, padding: 3, activation: 'relu' },
  },
  { sizes: [2, 8, 8, 4, 32, 3, 3], used: 3, options: { stride: 2, padding: 'same' } },
  { sizes: [2, 5, 4, 1, 1, 3, 3], options: { padding: 1 } },
  { sizes: [1, 5, 4, 64, 24, 1, 1], options: { padding: 0, activation: 'relu6' } },
  { sizes: [2, 3, 4, 5, 8, 1, 1], used: 3, options: { padding: 0 } },
  // Depthwise: 5 x 5, more rows than one thread takes, padding beyond the window, channels of several blocks, windows
  // without a kernel of their own.
  { sizes: [1, 9, 10, 8, 8, 5, 5], options: { stride: 2, padding: 'same', groups: 8 } },
  {
    sizes: [1, 17, 5, 6, 6, 5, 5],
    options: { padding: 2, groups: 6, activation: 'relu' },
    residual: [17, 5],
  },
  {
    sizes: [1, 9, 6, 8, 8, 3, 3],
    options: { padding: 1, groups: 8, activation: 'relu6' },
    residual: [9, 6],
  },
  { sizes: [1, 17, 7, 8, 8, 3, 3], options: { stride: 2, padding: [0, 1, 1, 0], groups: 8 } },
  { sizes: [1, 3, 2, 4, 4, 3, 3], options: { padding: 3, groups: 4 } },
  { sizes: [1, 3, 4, 136, 136, 3, 3], options: { stride: 2, padding: 1, groups: 136 } },
  { sizes: [2, 6, 5, 8, 8, 3, 2], options: { stride: 3, padding: 1, groups: 8 } },
  // Channels in eights, as a GPU's copy engine wants them: more than it takes at once, several images, uneven padding.
  { sizes: [3, 4, 3, 64, 72, 3, 3], options: { padding: 1, activation: 'relu' } },
  { sizes: [2, 5, 5, 24, 40, 2, 3], options: { padding: [1, 2, 0, 1] }, residual: [5, 6] },
  {
    sizes: [1, 7, 6, 136, 16, 3, 3],
    options: { stride: 2, padding: 'same', activation: 'relu6' },
  },
]

const inputsOf = ({ sizes: [B, H, W, C, O, R, S], used = C, options, residual }: Case) => ({
  x: of(B, H, W, C),
  weight: weightOf(O, R, S, used / (options.groups ?? 1)),
  ...(residual && { residual: of(B, ...residual, O) }),
})

const wrong = (
  changed: Readonly<Record<string, SampleInput>>,
  error: RegExp,
  options?: object,
) => ({
  inputs: { x: of(1, 4, 4, 6), weight: of(8, 3, 3, 6), ...changed },
  options: { padding: 1, ...options },
  error,
})

const convolutionWrong = (op: string) => [
  wrong({ x: of(4, 4, 6) }, new RegExp(`${op}: x must have 4 axes`)),
  wrong(
    { weight: of(8, 3, 3, 7) },
    new RegExp(`${op}: x is .*6\\] and weight is .*must be at most 6 \\(channels of x\\)`),
  ),
  wrong(
    { weight: of(8, 3, 3, 2) },
    new RegExp(`${op}: x is .*6\\] and weight is .*must be 3 \\(channels of x / groups\\)`),
    { groups: 2 },
  ),
  wrong({}, new RegExp(`${op}: expected groups to divide .*received 4`), { groups: 4 }),
  wrong({}, new RegExp(`${op}: expected stride .*received 0`), { stride: 0 }),
  wrong({}, new RegExp(`${op}: expected padding .*received -1`), { padding: -1 }),
  wrong({ x: of(1, 2, 2, 6) }, new RegExp(`${op}: the window \\[3, 3\\] does not fit`), {
    padding: 0,
  }),
  wrong({ residual: of(1, 3, 4, 8) }, new RegExp(`${op}: residual is \\[1, 3, 4, 8\\]`)),
]

const perChannel = (O: number) => ({
  gamma: { shape: [O], offset: 1, scale: 0.2 },
  beta: { shape: [O], offset: 0.1, scale: 0.2 },
  runningMean: of(O),
  runningVar: { shape: [O], offset: 3, scale: 0.1 },
})

const differentiable = (inputs: Readonly<Record<string, SampleInput>>) =>
  ['x', 'weight', 'gamma', 'beta', 'residual'].filter((name) => name in inputs)

const batchNormSamples: readonly Sample[] = [
  ...cases.filter(({ sizes: [B, H, W] }) => B * H * W > 1),
  { sizes: [2, 6, 5, 8, 16, 3, 3], options: { padding: 1, activation: 'silu' } } as const,
  { sizes: [2, 6, 5, 8, 9, 1, 1], options: { padding: 0, activation: 'gelu' } } as const,
  // Rows of whole 16 bytes and several tiles, which one block makes where there is one multiprocessor.
  { sizes: [2, 16, 16, 8, 8, 1, 1], options: { padding: 0, activation: 'silu' } } as const,
  // More rows than one partial sum takes; smooth, because among so many values some lie at relu's edge.
  { sizes: [3, 20, 20, 4, 17, 3, 3], options: { padding: 1, activation: 'silu' } } as const,
  { sizes: [3, 20, 20, 4, 17, 3, 3], options: { padding: 1 }, residual: [20, 20] } as const,
].map((each) => {
  const inputs = { ...inputsOf(each), ...perChannel(each.sizes[4]) }
  return { inputs, options: each.options, gradients: differentiable(inputs) }
})

export const convolutionSamples = {
  convolution: {
    right: [
      ...cases.map((each, i) => ({
        inputs: { ...inputsOf(each), ...(i % 2 === 0 && { bias: of(each.sizes[4]) }) },
        options: each.options,
      })),
      // Inference only: nothing here is differentiated through gelu and silu.
      ...(['gelu', 'silu'] as const).map((activation) => ({
        inputs: { x: of(2, 5, 5, 8), weight: weightOf(16, 3, 3, 8), bias: of(16) },
        options: { padding: 1, activation },
        gradients: [],
      })),
    ],
    wrong: [
      ...convolutionWrong('convolution'),
      wrong({ bias: of(6) }, /convolution: bias is \[6\]; it must be \[8\]/),
      wrong({}, /convolution: expected activation .*received tanh/, { activation: 'tanh' }),
    ],
  },
  convolutionBatchNorm: {
    right: batchNormSamples,
    wrong: [
      ...convolutionWrong('convolutionBatchNorm').map((each) => ({
        ...each,
        inputs: { ...each.inputs, ...perChannel(8) },
      })),
      wrong(
        { ...perChannel(8), gamma: of(6) },
        /convolutionBatchNorm: gamma is \[6\]; it must be \[8\]/,
      ),
      wrong(
        { ...perChannel(8), x: of(1, 1, 1, 6) },
        /convolutionBatchNorm: .*one value per channel/,
      ),
      wrong(perChannel(8), /convolutionBatchNorm: expected momentum .*received 2/, { momentum: 2 }),
      wrong(perChannel(8), /convolutionBatchNorm: expected epsilon .*received 0/, { epsilon: 0 }),
    ],
  },
  foldBatchNorm: {
    right: [
      { inputs: { weight: of(33, 3, 3, 5), ...perChannel(33) } },
      { inputs: { weight: of(1, 1, 1, 1), ...perChannel(1) }, options: { epsilon: 1e-3 } },
    ],
    wrong: [
      {
        inputs: { weight: of(3, 3, 3, 5), ...perChannel(2) },
        error: /foldBatchNorm: gamma is \[2\]; it must be \[3\]/,
      },
    ],
  },
  maxPool: {
    right: [
      { inputs: { x: of(2, 7, 8, 5) }, options: { size: 3, stride: 2, padding: 1 } },
      { inputs: { x: of(1, 4, 6, 129) }, options: { size: 2 } },
      { inputs: { x: of(3, 5, 5, 32) }, options: { size: 3, stride: 1, padding: 1 } },
      { inputs: { x: of(1, 1, 1, 1) }, options: { size: 1 } },
      // Windows that reach beyond all edges, channels that are no vectors, gaps between windows.
      { inputs: { x: of(2, 4, 5, 31) }, options: { size: 5, stride: 1, padding: 2 } },
      { inputs: { x: of(1, 9, 7, 24) }, options: { size: 2, stride: 3 } },
    ],
    wrong: [
      { inputs: { x: of(2, 3, 3) }, options: { size: 2 }, error: /maxPool: x must have 4 axes/ },
      {
        inputs: { x: of(1, 2, 2, 1) },
        options: { size: 3 },
        error: /maxPool: the window \[3, 3\] does not fit into x \[1, 2, 2, 1\]/,
      },
      {
        inputs: { x: of(1, 4, 4, 1) },
        options: { size: 2, padding: 2 },
        error: /maxPool: expected padding to be at most half of size 2, received 2/,
      },
      {
        inputs: { x: of(1, 4, 4, 1) },
        options: { size: 1.5 },
        error: /maxPool: expected size .*received 1.5/,
      },
    ],
  },
  adaptiveAveragePool: {
    right: [
      { inputs: { x: of(2, 7, 7, 33) } },
      { inputs: { x: of(3, 9, 5, 136) } },
      { inputs: { x: of(0, 3, 3, 8) } },
      // Bins that overlap, that are all alike, that repeat cells.
      { inputs: { x: of(2, 7, 8, 5) }, options: { size: [3, 4] } },
      { inputs: { x: of(1, 6, 9, 129) }, options: { size: [2, 3] } },
      { inputs: { x: of(2, 8, 8, 16) }, options: { size: [14, 14] } },
      { inputs: { x: of(1, 3, 5, 31) }, options: { size: [1, 7] } },
      { inputs: { x: of(1, 1, 1, 1) }, options: { size: [3, 2] } },
    ],
    wrong: [
      { inputs: { x: of(2, 3, 3) }, error: /adaptiveAveragePool: x must have 4 axes/ },
      {
        inputs: { x: of(1, 2, 2, 1) },
        options: { size: [0, 2] },
        error: /adaptiveAveragePool: expected size to be two integers of at least 1/,
      },
    ],
  },
  channelGate: {
    // Channels around the vectors' lengths; maps of several blocks (which leave parts of the gate's gradient to sum).
    right: [
      [2, 7, 7, 33],
      [1, 1, 1, 1],
      [3, 5, 4, 8],
      [0, 3, 3, 8],
      [2, 3, 3, 1000],
      [1, 23, 25, 32],
      [2, 129, 31, 3],
    ].map(([B = 0, H = 0, W = 0, C = 0]) => ({
      inputs: { x: of(B, H, W, C), gate: of(B, 1, 1, C) },
    })),
    wrong: [
      {
        inputs: { x: of(2, 3, 3, 4), gate: of(4) },
        error: /channelGate: gate is \[4\]; it must be \[2, 1, 1, 4\]/,
      },
    ],
  },
  imageTokens: {
    right: [
      { inputs: { x: of(2, 3, 3, 32), first: of(1, 1, 32), positions: of(1, 10, 32) } },
      { inputs: { x: of(1, 1, 1, 1), first: of(1), positions: of(2, 1) } },
      { inputs: { x: of(5, 2, 4, 31), first: of(31), positions: of(9, 31) } },
      { inputs: { x: of(33, 1, 2, 8), first: of(1, 8), positions: of(3, 8) } },
      { inputs: { x: of(3, 14, 14, 24), first: of(24), positions: of(197, 24) }, gradients: ['x'] },
    ],
    wrong: [
      {
        inputs: { x: of(2, 3, 3, 4), first: of(4), positions: of(9, 4) },
        error: /imageTokens: positions is \[9, 4\]; it must hold 10 x 4 numbers to fit x/,
      },
      {
        inputs: { x: of(2, 3, 3, 4), first: of(2, 2), positions: of(10, 4) },
        error: /imageTokens: first is \[2, 2\]/,
      },
    ],
  },
  normalizeImage: {
    right: [
      { inputs: imageInputs(2, 5, 31) },
      { inputs: imageInputs(1, 1, 1), options: { channels: 4 } },
      {
        inputs: {
          ...imageInputs(3, 9, 11),
          crop: {
            shape: [3, 5],
            dtype: 'int32',
            data: [0, 0, 9, 11, 0, 2, 3, 5, 4, 1, 8, 10, 1, 1, 0],
          },
        },
        options: { size: [6, 7], channels: 8 },
      },
      {
        inputs: {
          ...imageInputs(1, 4, 6),
          crop: { shape: [1, 5], dtype: 'int32', data: [0, 0, 4, 6, 1] },
        },
      },
    ],
    wrong: [
      {
        inputs: { ...imageInputs(1, 4, 4), x: { shape: [1, 4, 4, 4], dtype: 'uint8' } },
        error: /normalizeImage: x is \[1, 4, 4, 4\]; its last size must be 3/,
      },
      {
        inputs: { ...imageInputs(1, 4, 4), x: of(1, 4, 4, 3) },
        error: /normalizeImage: x must be uint8, received float32/,
      },
      {
        inputs: { ...imageInputs(1, 4, 4), mean: of(1) },
        error: /normalizeImage: mean is \[1\]; it must be \[3\]/,
      },
      {
        inputs: imageInputs(1, 4, 4),
        options: { size: [2, 2] },
        error: /normalizeImage: size needs crop boxes/,
      },
      {
        inputs: imageInputs(1, 4, 4),
        options: { channels: 2 },
        error: /normalizeImage: expected channels .*received 2/,
      },
    ],
  },
} satisfies Record<string, OpSamples>

function imageInputs(B: number, H: number, W: number): Readonly<Record<string, SampleInput>> {
  return {
    x: { shape: [B, H, W, 3], dtype: 'uint8', integers: [0, 256] },
    mean: { shape: [3], data: [0.485, 0.456, 0.406] },
    std: { shape: [3], data: [0.229, 0.224, 0.225] },
  }
}
