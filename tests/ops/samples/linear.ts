/** Samples of linear layers, norms, embedding, dropout and the losses. */
import type { OpSamples, Sample, SampleInput } from '../samples.js'

const of = (...shape: number[]): SampleInput => ({ shape })
const weightOf = (rows: number, columns: number): SampleInput => ({
  shape: [rows, columns],
  scale: 1 / Math.sqrt(columns),
})
const ids = (count: number, below: number): SampleInput => ({
  shape: [count],
  dtype: 'int32',
  integers: [0, below],
})
const integers = (...data: number[]): SampleInput => ({
  shape: [data.length],
  dtype: 'int32',
  data,
})
const rng = integers(-7, 11, 3)

type LinearSizes = readonly [rows: number, columns: number, outputs: number]

/** One and several rows, few (one product) and many (blocks of rows), odd sizes, a long inner axis. */
const linearSizes: readonly LinearSizes[] = [
  [1, 1, 1],
  [1, 100_003, 1],
  [3, 1, 5],
  [31, 33, 32],
  [129, 127, 31],
  [391, 17, 33],
  // Rows of whole 16 bytes, as a GPU's copy engine wants them: several tiles, a long inner axis, few rows.
  [130, 72, 136],
  [40, 640, 72],
  [136, 1032, 72],
  [1, 264, 72],
]

const linearSample = ([rows, columns, outputs]: LinearSizes, i: number): Sample => ({
  inputs: {
    x: of(rows, columns),
    weight: weightOf(outputs, columns),
    ...(i % 2 === 0 && { bias: of(outputs) }),
    ...(i % 3 === 0 && { residual: of(rows, outputs) }),
  },
  options: { activation: (['none', 'gelu', 'relu', 'silu', 'relu6'] as const)[i % 5] },
})

/** Rows of norms in and beyond a warp's registers, and more of them than one block of a GPU sums. */
const longRows = [
  [37, 512],
  [11, 1024],
  [2, 2048],
  [2, 2049],
  [3, 4096],
] as const

const lossInputs = (rows: number, columns: number, classes: number, bias = true) => ({
  x: of(rows, columns),
  weight: weightOf(classes, columns),
  ...(bias && { bias: of(classes) }),
  targets: ids(rows, classes),
})

/** As above; more rows than one chunk (256 on a CPU, 2048 on a GPU), a long row, ignored tokens, label smoothing, logits of a thousand. */
const lossCases: readonly Sample[] = [
  { inputs: lossInputs(1, 1, 1) },
  { inputs: lossInputs(33, 31, 129, false), options: { labelSmoothing: 0.1 } },
  { inputs: lossInputs(300, 8, 37), options: { labelSmoothing: 0.3 } },
  { inputs: lossInputs(2100, 3, 5) },
  { inputs: lossInputs(3, 9, 2100), options: { labelSmoothing: 0.1 } },
  {
    inputs: { ...lossInputs(5, 7, 9), targets: integers(3, 0, 8, 0, 1) },
    options: { ignoreIndex: 0, labelSmoothing: 0.2 },
  },
  { inputs: { ...lossInputs(2, 7, 9), targets: integers(-100, -100) } },
  { inputs: { ...lossInputs(5, 32, 33), x: { shape: [5, 32], scale: 1000 } } },
  // Large and equal logits; the gradient of x is 0, to which nothing can be relative.
  {
    inputs: {
      ...lossInputs(4, 3, 1000, false),
      weight: { shape: [1000, 3], scale: 0, offset: 300 },
    },
    gradients: ['weight'],
  },
]

/** Weights of either sign and of 0, over more rows than one chunk, and beside ignored tokens. */
const weightedLossCases: readonly Sample[] = [
  {
    inputs: { ...lossInputs(5, 7, 9), tokenWeights: { shape: [5], data: [1, -2, 0, 0.5, 3] } },
    options: { labelSmoothing: 0.2 },
  },
  { inputs: { ...lossInputs(2100, 3, 5), tokenWeights: { shape: [2100], offset: 1 } } },
  {
    inputs: {
      ...lossInputs(3, 4, 2100, false),
      targets: integers(7, 0, 2099),
      tokenWeights: { shape: [3], data: [-1, 5, 0.25] },
    },
    options: { ignoreIndex: 0 },
  },
]

const constants = ['targets', 'tokenWeights']

const wrongLoss = (op: string) => [
  {
    inputs: { ...lossInputs(3, 4, 5), weight: of(5, 3) },
    error: new RegExp(`${op}: x is \\[3, 4\\] and weight is \\[5, 3\\]; the last size of x`),
  },
  {
    inputs: { ...lossInputs(3, 4, 5), targets: ids(2, 5) },
    error: new RegExp(`${op}: targets is \\[2\\]; it must be \\[3\\] to fit the rows of x`),
  },
  {
    inputs: lossInputs(3, 4, 5),
    options: { labelSmoothing: 1 },
    error: new RegExp(
      `${op}: expected labelSmoothing to be a number from 0 to below 1, received 1`,
    ),
  },
]

export const linearSamples = {
  linear: {
    right: [
      ...linearSizes.map(linearSample),
      ...(['none', 'relu', 'relu6', 'gelu', 'silu'] as const).map((activation) => ({
        inputs: { x: { shape: [2, 3, 8], scale: 3 }, weight: weightOf(7, 8), bias: of(7) },
        options: { activation },
      })),
      { inputs: { x: of(5), weight: weightOf(3, 5), residual: of(3) } },
    ],
    wrong: [
      {
        inputs: { x: of(4, 5), weight: of(3, 6) },
        error: /linear: x is \[4, 5\] and weight is \[3, 6\]; the last size of x .*\(6\)/,
      },
      {
        inputs: { x: of(4, 5), weight: of(3, 5), bias: of(5) },
        error: /linear: bias is \[5\]; it must be \[3\] to fit weight \[3, 5\]/,
      },
      {
        inputs: { x: of(4, 5), weight: of(3, 5), residual: of(3, 4) },
        error: /linear: residual is \[3, 4\]; it must be \[4, 3\]/,
      },
      {
        inputs: { x: of(4, 5), weight: of(3, 5) },
        options: { activation: 'swish' },
        error: /linear: expected activation to be one of none, relu, .*received "swish"/,
      },
    ],
  },
  layerNorm: {
    right: [
      // The gradient of a row of one element is 0, to which nothing can be relative.
      { inputs: { x: of(5, 1), weight: of(1), bias: of(1) }, gradients: ['weight', 'bias'] },
      ...[31, 32, 33, 127, 128, 129, 1000].map((n) => ({
        inputs: { x: of(5, n), weight: of(n), bias: of(n) },
      })),
      { inputs: { x: { shape: [70, 3, 9], offset: 30 }, weight: of(9), bias: of(9) } },
      { inputs: { x: of(8), weight: of(8), bias: of(8) }, options: { epsilon: 0.5 } },
      ...longRows.map(([rows, n]) => ({
        inputs: { x: of(rows, n), weight: of(n), bias: of(n) },
      })),
    ],
    wrong: [
      {
        inputs: { x: of(4, 5), weight: of(4), bias: of(5) },
        error: /layerNorm: weight is \[4\]; it must be \[5\] to fit the last axis of x/,
      },
      {
        inputs: { x: of(4, 5), weight: of(5), bias: of(5) },
        options: { epsilon: 0 },
        error: /layerNorm: expected epsilon to be a number above 0, received 0/,
      },
    ],
  },
  rmsNorm: {
    right: [
      // The gradient of a row of one element is next to 0, to which nothing can be relative.
      { inputs: { x: of(5, 1), weight: of(1) }, gradients: ['weight'] },
      ...[31, 32, 33, 127, 128, 129, 1000].map((n) => ({
        inputs: { x: of(5, n), weight: of(n) },
      })),
      { inputs: { x: of(70, 3, 9), weight: of(9) }, options: { epsilon: 0.5 } },
      ...longRows.map(([rows, n]) => ({ inputs: { x: of(rows, n), weight: of(n) } })),
    ],
    wrong: [
      {
        inputs: { x: of(4, 5), weight: of(1, 5) },
        error: /rmsNorm: weight is \[1, 5\]; it must be \[5\]/,
      },
      { inputs: { x: of(4, 0), weight: of(0) }, error: /rmsNorm: the last axis of x/ },
    ],
  },
  embedding: {
    right: [
      { inputs: { tokens: ids(1, 1), tokenWeight: of(1, 1) } },
      { inputs: { tokens: ids(33, 7), tokenWeight: of(7, 129) }, options: { scale: 11.3 } },
      {
        inputs: {
          tokens: { ...ids(12, 5), shape: [3, 4] },
          positions: { ...ids(12, 6), shape: [3, 4] },
          tokenWeight: of(5, 31),
          positionWeight: of(6, 31),
        },
        options: { scale: 2 },
      },
      {
        inputs: {
          tokens: ids(300, 1000),
          positions: ids(300, 4),
          tokenWeight: of(1000, 128),
          positionWeight: of(4, 128),
        },
      },
      // Many equal tokens, more than a block of a GPU looks through at a time; several blocks of columns.
      { inputs: { tokens: ids(2500, 3), tokenWeight: of(3, 5) } },
      { inputs: { tokens: ids(40, 2), tokenWeight: of(2, 520) } },
    ],
    wrong: [
      {
        inputs: { tokens: ids(2, 5), tokenWeight: of(5, 3), positionWeight: of(5, 3) },
        error: /embedding: input positions is missing; positions and positionWeight come together/,
      },
      {
        inputs: {
          tokens: ids(2, 5),
          positions: ids(2, 5),
          tokenWeight: of(5, 3),
          positionWeight: of(5, 4),
        },
        error: /embedding: positionWeight is \[5, 4\]; it must be \[5, 3\]/,
      },
      {
        inputs: { tokens: of(2), tokenWeight: of(5, 3) },
        error: /embedding: tokens must be int32, received float32/,
      },
    ],
  },
  dropout: {
    right: [
      { inputs: { x: of(1), rng }, options: { probability: 0.5, tag: 0 } },
      { inputs: { x: of(31, 33), rng }, options: { probability: 0.1, tag: 4 } },
      {
        inputs: { x: of(3, 5, 67), residual: of(3, 5, 67), rng },
        options: { probability: 0.9, tag: 2 ** 31 - 1 },
      },
      { inputs: { x: of(9, 7), rng }, options: { probability: 0, tag: 1 } },
    ],
    wrong: [
      {
        inputs: { x: of(2, 3), rng },
        options: { probability: 1, tag: 0 },
        error: /dropout: expected probability to be a number from 0 to below 1, received 1/,
      },
      {
        inputs: { x: of(2, 3), rng },
        options: { probability: 0.5, tag: -1 },
        error: /dropout: expected tag to be an integer from 0 to 2\^31 - 1, received -1/,
      },
      {
        inputs: { x: of(2, 3), residual: of(3, 2), rng },
        options: { probability: 0.5, tag: 0 },
        error: /dropout: residual is \[3, 2\]; it must be \[2, 3\] to fit x/,
      },
    ],
  },
  linearCrossEntropy: {
    right: [...lossCases, ...weightedLossCases].map((sample) => ({
      gradients: Object.keys(sample.inputs).filter((name) => !constants.includes(name)),
      ...sample,
      inputs: { ...sample.inputs, denominator: { shape: [1], data: [7] } },
    })),
    wrong: [
      ...wrongLoss('linearCrossEntropy').map((sample) => ({
        ...sample,
        inputs: { ...sample.inputs, denominator: { shape: [1], data: [7] } },
      })),
      {
        inputs: { ...lossInputs(3, 4, 5), denominator: of(2) },
        error: /linearCrossEntropy: denominator is \[2\]; it must be \[1\]/,
      },
      {
        inputs: {
          ...lossInputs(3, 4, 5),
          tokenWeights: of(4),
          denominator: { shape: [1], data: [7] },
        },
        error: /linearCrossEntropy: tokenWeights is \[4\]; it must be \[3\] to fit targets/,
      },
    ],
  },
  tokenLoss: { right: lossCases, wrong: wrongLoss('tokenLoss') },
} satisfies Record<string, OpSamples>
