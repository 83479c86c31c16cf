/** An LSTM that looks at the image before every word (Show, Attend and Tell): all steps of all captions as one op. */
import { ShapeError, shapeText } from '../errors.js'
import { type Tensor, view } from '../tensor.js'
import { checkCount, checkOffsets } from './attention-inputs.js'
import { axes, defineOp, expectShape } from './define-op.js'

export interface AttendingLstmOptions {
  /** Captions that look at the same image, side by side. */
  readonly rowsPerKey: number
  /** At least the tokens of the longest caption. */
  readonly longest: number
}

/**
 * Soft attention of an LSTM over S cells of an image. From h = h0, c = c0 on, at each token of a caption:
 * alpha = softmax over cells of scoreWeight . relu(keys + decoder(h)) + scoreBias,
 * context = sigmoid(gate(h)) sum over cells of alpha memory, h, c = LSTMCell([x; context], h, c),
 * with decoder(h) = h decoderWeight^T + decoderBias, gate alike, and the cell's gates i, f, g, o as PyTorch's.
 *
 * @param x             [N, E] embedded tokens, captions packed one after another
 * @param memory        [B S, F] cells of B images
 * @param keys          [B S, A] the same cells, projected for the comparison with h
 * @param h0            [B, D]
 * @param c0            [B, D]
 * @param decoderWeight [A, D]
 * @param scoreWeight   [1, A]
 * @param scoreBias     [1]: the softmax does not see it, its gradient is 0
 * @param gateWeight    [F, D]
 * @param inputWeight   [4D, E + F]
 * @param hiddenWeight  [4D, D]
 * @param offsets       int32 [B rowsPerKey + 1]: caption r is tokens offsets[r] .. offsets[r + 1]; from 0 to N
 * @returns             h after each token, [N, D], then alpha, [N, S]; as one, [N (D + S)]
 * @throws ShapeError when the shapes do not fit together; ArgumentError for bad options, and, once the device gets
 *   there, for offsets that do not fit
 * Source: Xu et al. 2015, arXiv:1502.03044, sections 3.1 and 4.2.
 */
export const attendingLstm = defineOp({
  name: 'attendingLstm',
  inputs: [
    ...(['x', 'memory', 'keys', 'h0', 'c0'] as const),
    ...(['decoderWeight', 'decoderBias', 'scoreWeight', 'scoreBias'] as const),
    ...(['gateWeight', 'gateBias'] as const),
    ...(['inputWeight', 'inputBias', 'hiddenWeight', 'hiddenBias'] as const),
    'offsets',
  ],
  kinds: {
    decoderWeight: 'parameter',
    decoderBias: 'float32',
    scoreWeight: 'parameter',
    scoreBias: 'float32',
    gateWeight: 'parameter',
    gateBias: 'float32',
    inputWeight: 'parameter',
    inputBias: 'float32',
    hiddenWeight: 'parameter',
    hiddenBias: 'float32',
    offsets: 'int32',
  },
  shape: (inputs, options: AttendingLstmOptions) => {
    const { x, memory, keys, h0, c0 } = inputs
    const [tokens = 0, E = 0] = axes('attendingLstm', 'x', x, 2)
    const [rows = 0, F = 0] = axes('attendingLstm', 'memory', memory, 2)
    const [, A = 0] = axes('attendingLstm', 'keys', keys, 2)
    const [images = 0, D = 0] = axes('attendingLstm', 'h0', h0, 2)
    const expect = (name: keyof typeof inputs, shape: readonly number[], why: string) =>
      expectShape('attendingLstm', name, inputs[name], shape, why)
    expect('keys', [rows, A], `memory ${shapeText(memory.shape)}`)
    expectShape('attendingLstm', 'c0', c0, h0.shape, `h0 ${shapeText(h0.shape)}`)
    if (images === 0 || rows === 0 || rows % images !== 0)
      throw new ShapeError(
        `attendingLstm: memory is ${shapeText(memory.shape)} and h0 is ${shapeText(h0.shape)}; the rows of memory ` +
          `must be equally many cells of each of ${images} images`,
      )
    const attention = `keys with ${A} columns and h0 with ${D}`
    expect('decoderWeight', [A, D], attention)
    expect('decoderBias', [A], attention)
    expect('scoreWeight', [1, A], attention)
    expect('scoreBias', [1], attention)
    const gate = `memory with ${F} columns and h0 with ${D}`
    expect('gateWeight', [F, D], gate)
    expect('gateBias', [F], gate)
    expect('inputWeight', [4 * D, E + F], `x with ${E} columns, ${gate}`)
    for (const name of ['inputBias', 'hiddenBias'] as const) expect(name, [4 * D], gate)
    expect('hiddenWeight', [4 * D, D], gate)
    for (const name of ['rowsPerKey', 'longest'] as const)
      checkCount('attendingLstm', name, options[name])
    const captions = checkOffsets('attendingLstm', 'offsets', inputs.offsets)
    if (captions !== images * options.rowsPerKey)
      throw new ShapeError(
        `attendingLstm: offsets is ${shapeText(inputs.offsets.shape)}; it must hold ${images * options.rowsPerKey + 1} ` +
          `numbers for ${images} images with ${options.rowsPerKey} captions each`,
      )
    return { shape: [tokens * (D + rows / images)] }
  },
  extras: ({ x, memory, keys, h0 }) => {
    const tokens = x.shape[0] ?? 0
    const [features = 0, attention = 0, hidden = 0] = [memory, keys, h0].map((t) => t.shape[1])
    return {
      query: { shape: [tokens, attention] },
      context: { shape: [tokens, features] },
      gate: { shape: [tokens, features] },
      gates: { shape: [tokens, 4 * hidden] },
      cells: { shape: [tokens, hidden], dtype: 'float32' as const },
    }
  },
  forward: (k, out, inputs, { rowsPerKey, longest }, { query, context, gate, gates, cells }) => {
    const { x, memory, keys, h0, c0 } = inputs
    const { hidden, alpha } = lstmParts(out, x, h0)
    k.attendingLstm(
      hidden,
      alpha,
      query,
      context,
      gate,
      gates,
      cells,
      x,
      memory,
      keys,
      h0,
      c0,
      inputs.decoderWeight,
      inputs.decoderBias,
      inputs.scoreWeight,
      inputs.gateWeight,
      inputs.gateBias,
      inputs.inputWeight,
      inputs.inputBias,
      inputs.hiddenWeight,
      inputs.hiddenBias,
      inputs.offsets,
      rowsPerKey,
      longest,
    )
  },
  saves: [
    ...(['out', 'query', 'context', 'gate', 'gates', 'cells'] as const),
    ...(['x', 'memory', 'keys', 'h0', 'c0', 'offsets'] as const),
    ...(['decoderWeight', 'scoreWeight', 'gateWeight', 'inputWeight', 'hiddenWeight'] as const),
  ],
  backward: ({ k, grad, gradOf, saved, options: { rowsPerKey, longest } }) => {
    const d = {
      x: gradOf('x'),
      memory: gradOf('memory'),
      keys: gradOf('keys'),
      h0: gradOf('h0'),
      c0: gradOf('c0'),
      decoderWeight: gradOf('decoderWeight'),
      decoderBias: gradOf('decoderBias'),
      scoreWeight: gradOf('scoreWeight'),
      gateWeight: gradOf('gateWeight'),
      gateBias: gradOf('gateBias'),
      inputWeight: gradOf('inputWeight'),
      inputBias: gradOf('inputBias'),
      hiddenWeight: gradOf('hiddenWeight'),
      hiddenBias: gradOf('hiddenBias'),
      scoreBias: gradOf('scoreBias'),
    }
    if (d.scoreBias) k.fill(d.scoreBias, 0)
    const { x, h0, out } = saved
    const given = lstmParts(grad, x, h0)
    const made = lstmParts(out, x, h0)
    k.attendingLstmBackward(
      d.x,
      d.memory,
      d.keys,
      d.h0,
      d.c0,
      d.decoderWeight,
      d.decoderBias,
      d.scoreWeight,
      d.gateWeight,
      d.gateBias,
      d.inputWeight,
      d.inputBias,
      d.hiddenWeight,
      d.hiddenBias,
      given.hidden,
      given.alpha,
      made.hidden,
      made.alpha,
      saved.query,
      saved.context,
      saved.gate,
      saved.gates,
      saved.cells,
      x,
      saved.memory,
      saved.keys,
      h0,
      saved.c0,
      saved.decoderWeight,
      saved.scoreWeight,
      saved.gateWeight,
      saved.inputWeight,
      saved.hiddenWeight,
      saved.offsets,
      rowsPerKey,
      longest,
    )
    return d
  },
})

/** The output of attendingLstm, or its gradient, as views: hidden [N, D] and alpha [N, S]. */
function lstmParts(flat: Tensor, x: Tensor, h0: Tensor) {
  const [tokens = 0] = x.shape
  const [, D = 0] = h0.shape
  const end = tokens * D
  return {
    hidden: view(flat, [tokens, D]),
    alpha: view(flat, [tokens, tokens === 0 ? 0 : (flat.size - end) / tokens], end),
  }
}
