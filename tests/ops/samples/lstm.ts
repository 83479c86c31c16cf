/** Samples of the attending LSTM and its penalty. */
import type { OpSamples, Sample, SampleInput } from '../samples.js'

const integers = (...data: number[]): SampleInput => ({
  shape: [data.length],
  dtype: 'int32',
  data,
})

const total = (lengths: readonly number[]) => lengths.reduce((sum, n) => sum + n, 0)

/** 0, then the sums of the lengths so far. */
const offsetsOf = (lengths: readonly number[]): SampleInput =>
  integers(0, ...lengths.map((_, i) => total(lengths.slice(0, i + 1))))

interface LstmCase {
  /** Tokens of each caption. */
  readonly lengths: readonly number[]
  readonly rowsPerKey: number
  readonly cells: number
  /** D, E, A, F. */
  readonly sizes: readonly [hidden: number, embedding: number, attention: number, features: number]
  /** More steps than the longest caption has. */
  readonly room?: number
  readonly gradients?: readonly string[]
}

const lstmInputs = ({ lengths, rowsPerKey, cells, sizes: [D, E, A, F] }: LstmCase) => {
  const images = lengths.length / rowsPerKey
  const matrix = (rows: number, columns: number): SampleInput => ({
    shape: [rows, columns],
    scale: columns ** -0.5,
  })
  return {
    x: { shape: [total(lengths), E] },
    memory: { shape: [images * cells, F] },
    keys: { shape: [images * cells, A] },
    h0: { shape: [images, D], scale: 0.5 },
    c0: { shape: [images, D], scale: 0.5 },
    decoderWeight: matrix(A, D),
    decoderBias: { shape: [A] },
    scoreWeight: { shape: [1, A], scale: 2 * A ** -0.5 },
    scoreBias: { shape: [1] },
    gateWeight: matrix(F, D),
    gateBias: { shape: [F] },
    inputWeight: matrix(4 * D, E + F),
    inputBias: { shape: [4 * D] },
    hiddenWeight: matrix(4 * D, D),
    hiddenBias: { shape: [4 * D] },
    offsets: offsetsOf(lengths),
  }
}

/** The gradient of scoreBias is 0; what differences give instead is rounding, small in a small case alone. */
const lstmSample = (one: LstmCase): Sample => {
  const inputs = lstmInputs(one)
  const all = Object.keys(inputs).filter((name) => name !== 'offsets')
  return {
    inputs,
    options: { rowsPerKey: one.rowsPerKey, longest: Math.max(...one.lengths, 1) + (one.room ?? 0) },
    gradients:
      one.gradients ?? all.filter((name) => name !== 'scoreBias' || total(one.lengths) === 1),
  }
}

const lstms: readonly LstmCase[] = [
  { lengths: [1], rowsPerKey: 1, cells: 1, sizes: [1, 1, 1, 1] },
  { lengths: [3], rowsPerKey: 1, cells: 4, sizes: [8, 8, 8, 8] },
  // Captions of one image, one of them empty, not in order of length, beside an image without words.
  { lengths: [2, 5, 0, 1, 0, 0, 4, 4, 3], rowsPerKey: 3, cells: 5, sizes: [7, 5, 6, 9] },
  { lengths: [4, 1, 3, 4], rowsPerKey: 2, cells: 9, sizes: [31, 33, 32, 40], room: 3 },
  // Enough captions for surplus rows of a product, and as many cells as three warps.
  {
    lengths: Array.from({ length: 37 }, (_, i) => 1 + ((i * 5) % 4)),
    rowsPerKey: 1,
    cells: 70,
    sizes: [16, 24, 64, 32],
  },
  { lengths: [6, 2], rowsPerKey: 1, cells: 49, sizes: [64, 32, 128, 129] },
  // Only the decoder is trained.
  {
    lengths: [2, 3],
    rowsPerKey: 2,
    cells: 6,
    sizes: [8, 16, 8, 24],
    gradients: ['x', 'inputWeight', 'decoderWeight', 'scoreWeight', 'hiddenBias'],
  },
]

const right: LstmCase = { lengths: [2, 1], rowsPerKey: 1, cells: 3, sizes: [4, 5, 6, 7] }
const wrongLstm = (inputs: Readonly<Record<string, SampleInput>>, error: RegExp, options = {}) => ({
  inputs: { ...lstmInputs(right), ...inputs },
  options: { rowsPerKey: 1, longest: 2, ...options },
  error,
})

interface PenaltyCase {
  readonly lengths: readonly number[]
  readonly cells: number
  /** Tokens at the end of each caption that do not count. */
  readonly pads?: readonly number[]
  readonly scale?: number
  readonly denominator?: number
}

const penaltySample = ({ lengths, cells, pads = [], ...rest }: PenaltyCase): Sample => {
  const targets = lengths.flatMap((n, r) =>
    Array.from({ length: n }, (_, i) => (i < n - (pads[r] ?? 0) ? 1 : -100)),
  )
  const counted = targets.filter((target) => target !== -100).length
  return {
    inputs: {
      alpha: { shape: [total(lengths), cells] },
      offsets: offsetsOf(lengths),
      targets: integers(...targets),
      denominator: { shape: [1], data: [rest.denominator ?? Math.max(1, counted)] },
    },
    options: { scale: rest.scale ?? 1 },
    gradients: ['alpha'],
  }
}

const penalties: readonly PenaltyCase[] = [
  { lengths: [1], cells: 1 },
  { lengths: [3, 0, 2], cells: 5, scale: 2.5 },
  { lengths: [6, 4, 3], cells: 33, pads: [2, 0, 3], denominator: 20 },
  { lengths: Array.from({ length: 300 }, (_, i) => i % 5), cells: 49, pads: [0, 1, 1] },
  { lengths: [2, 1], cells: 3, pads: [2, 1] },
  { lengths: [40, 31], cells: 197 },
]

const penaltyInputs = {
  alpha: { shape: [3, 4] },
  offsets: offsetsOf([2, 1]),
  targets: integers(1, 1, 1),
  denominator: { shape: [1], data: [3] },
}

export const lstmSamples: Readonly<Record<'attendingLstm' | 'attentionPenalty', OpSamples>> = {
  attendingLstm: {
    right: lstms.map(lstmSample),
    wrong: [
      wrongLstm({ x: { shape: [3] } }, /attendingLstm: x must have 2 axes/),
      wrongLstm({ keys: { shape: [5, 6] } }, /attendingLstm: keys is \[5, 6\].*\[6, 6\]/),
      wrongLstm({ c0: { shape: [2, 5] } }, /attendingLstm: c0 is \[2, 5\].*\[2, 4\]/),
      wrongLstm(
        { memory: { shape: [5, 7] }, keys: { shape: [5, 6] } },
        /attendingLstm: memory is \[5, 7\].*2 images/,
      ),
      wrongLstm({ scoreWeight: { shape: [6] } }, /attendingLstm: scoreWeight is \[6\].*\[1, 6\]/),
      wrongLstm({ inputWeight: { shape: [16, 11] } }, /attendingLstm: inputWeight.*\[16, 12\]/),
      wrongLstm({ offsets: integers(0, 3) }, /attendingLstm: offsets is \[2\].*3 numbers/),
      wrongLstm({}, /attendingLstm: expected longest/, { longest: 0 }),
    ],
  },
  attentionPenalty: {
    right: penalties.map(penaltySample),
    wrong: [
      {
        inputs: { ...penaltyInputs, targets: integers(1, 1) },
        options: { scale: 1 },
        error: /attentionPenalty: targets is \[2\].*\[3\]/,
      },
      {
        inputs: penaltyInputs,
        options: { scale: Number.NaN },
        error: /attentionPenalty: expected scale/,
      },
    ],
  },
}
