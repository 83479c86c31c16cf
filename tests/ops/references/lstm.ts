/** The attending LSTM and its penalty in float64, one caption at a time. */
import { given, type ReferenceInputs } from '../references.js'

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

/** W x + b of W [rows, x.length] at columns from `start` of `width`. */
function apply(weight: Float64Array, width: number, start: number, x: ArrayLike<number>): number[] {
  return Array.from({ length: weight.length / width }, (_, row) => {
    let sum = 0
    for (let i = 0; i < x.length; i++) sum += (weight[row * width + start + i] ?? 0) * (x[i] ?? 0)
    return sum
  })
}

function attendingLstm(
  inputs: ReferenceInputs,
  { rowsPerKey }: { rowsPerKey: number },
): Float64Array {
  const data = (name: string) => given(inputs, name).data
  const columns = (name: string) => given(inputs, name).shape[1] ?? 0
  const [E, F, A, D] = [columns('x'), columns('memory'), columns('keys'), columns('h0')]
  const images = given(inputs, 'h0').shape[0] ?? 1
  const cells = (given(inputs, 'memory').shape[0] ?? 0) / images
  const tokens = given(inputs, 'x').shape[0] ?? 0
  const offsets = data('offsets')
  const out = new Float64Array(tokens * (D + cells))
  for (let caption = 0; caption + 1 < offsets.length; caption++) {
    const image = Math.floor(caption / rowsPerKey)
    let h = [...data('h0').subarray(image * D, (image + 1) * D)]
    let c = [...data('c0').subarray(image * D, (image + 1) * D)]
    for (let token = offsets[caption] ?? 0; token < (offsets[caption + 1] ?? 0); token++) {
      const query = apply(data('decoderWeight'), D, 0, h)
      const scores = Array.from({ length: cells }, (_, s) => {
        let sum = data('scoreBias')[0] ?? 0
        for (let a = 0; a < A; a++) {
          const key = data('keys')[(image * cells + s) * A + a] ?? 0
          const asked = (query[a] ?? 0) + (data('decoderBias')[a] ?? 0)
          sum += (data('scoreWeight')[a] ?? 0) * Math.max(0, key + asked)
        }
        return sum
      })
      const largest = Math.max(...scores)
      const shares = scores.map((score) => Math.exp(score - largest))
      const all = shares.reduce((sum, share) => sum + share, 0)
      const context = new Float64Array(F)
      for (const [s, share] of shares.entries())
        for (let f = 0; f < F; f++)
          context[f] =
            (context[f] ?? 0) + (share / all) * (data('memory')[(image * cells + s) * F + f] ?? 0)
      const gate = apply(data('gateWeight'), D, 0, h)
      const gated = context.map((x, f) => x * sigmoid((gate[f] ?? 0) + (data('gateBias')[f] ?? 0)))
      const word = apply(
        data('inputWeight'),
        E + F,
        0,
        data('x').subarray(token * E, (token + 1) * E),
      )
      const seen = apply(data('inputWeight'), E + F, E, gated)
      const before = apply(data('hiddenWeight'), D, 0, h)
      const gates = word.map(
        (x, i) =>
          x +
          (seen[i] ?? 0) +
          (before[i] ?? 0) +
          (data('inputBias')[i] ?? 0) +
          (data('hiddenBias')[i] ?? 0),
      )
      const gateOf = (part: number, d: number) => gates[part * D + d] ?? 0
      c = c.map(
        (x, d) => sigmoid(gateOf(1, d)) * x + sigmoid(gateOf(0, d)) * Math.tanh(gateOf(2, d)),
      )
      h = c.map((x, d) => sigmoid(gateOf(3, d)) * Math.tanh(x))
      out.set(h, token * D)
      out.set(
        shares.map((share) => share / all),
        tokens * D + token * cells,
      )
    }
  }
  return out
}

function attentionPenalty(inputs: ReferenceInputs, { scale }: { scale: number }): Float64Array {
  const [, cells = 0] = given(inputs, 'alpha').shape
  const data = (name: string) => given(inputs, name).data
  const offsets = data('offsets')
  let [squares, counted, captions] = [0, 0, 0]
  for (let caption = 0; caption + 1 < offsets.length; caption++) {
    const sums = new Float64Array(cells)
    let words = 0
    for (let token = offsets[caption] ?? 0; token < (offsets[caption + 1] ?? 0); token++) {
      if (data('targets')[token] === -100) continue
      words++
      for (let s = 0; s < cells; s++)
        sums[s] = (sums[s] ?? 0) + (data('alpha')[token * cells + s] ?? 0)
    }
    counted += words
    if (words === 0) continue
    captions++
    for (const sum of sums) squares += (1 - sum) ** 2
  }
  const share = counted / (data('denominator')[0] ?? 1)
  return Float64Array.of(captions === 0 ? 0 : (scale * share * squares) / (captions * cells))
}

export const lstmReferences = { attendingLstm, attentionPenalty }
