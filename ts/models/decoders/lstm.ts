/**
 * Caption decoder of Show, Attend and Tell (Xu et al. 2015, arXiv:1502.03044): an LSTM that looks at the image's cells by
 * additive attention before every word. Keys and sizes are those of sgrvinod's a-PyTorch-Tutorial-to-Image-Captioning.
 * Its steps through time are one op, attendingLstm; embedding and classifier run over all words at once.
 */
import { argumentError } from '../../errors.js'
import { adaptiveAveragePool } from '../../ops/adaptive-average-pool.js'
import { add } from '../../ops/add.js'
import { attendingLstm } from '../../ops/attending-lstm.js'
import { attentionPenalty } from '../../ops/attention-penalty.js'
import { embedding } from '../../ops/embedding.js'
import { linear } from '../../ops/linear.js'
import { reshape } from '../../ops/reshape.js'
import { section } from '../../ops/section.js'
import { activeTape } from '../../tape.js'
import { cast, empty, scope, type Tensor, view } from '../../tensor.js'
import type { ModelConfig } from '../config.js'
import { maybeDropout } from '../layers.js'
import { type ParamsOf, param } from '../params.js'
import { type Decoder, type DecoderFacts, defineDecoder, type PackedCaptions } from './decoder.js'
import { recipes } from './recipes.js'
import { captionLoss, captionTokenLosses } from './words.js'

type LstmConfig = ModelConfig['decoder']

function lstmSpec(c: LstmConfig, { channels, vocabulary }: DecoderFacts) {
  const { linear: affine } = recipes.torch
  const recurrent = { kind: 'uniform', bound: c.dim ** -0.5 } as const
  const words = { kind: 'uniform', bound: 0.1 } as const
  return {
    attention: {
      encoder_att: affine(channels, c.attentionDim),
      decoder_att: affine(c.dim, c.attentionDim),
      full_att: affine(c.attentionDim, 1),
    },
    embedding: { weight: param([vocabulary, c.embeddingDim], words, false) },
    decode_step: {
      weight_ih: param([4 * c.dim, c.embeddingDim + channels], recurrent),
      weight_hh: param([4 * c.dim, c.dim], recurrent),
      bias_ih: param([4 * c.dim], recurrent),
      bias_hh: param([4 * c.dim], recurrent),
    },
    init_h: affine(channels, c.dim),
    init_c: affine(channels, c.dim),
    f_beta: affine(c.dim, channels),
    fc: {
      weight: param([vocabulary, c.dim], words),
      bias: param([vocabulary], { kind: 'constant', value: 0 }),
    },
  }
}

type LstmParams = ParamsOf<ReturnType<typeof lstmSpec>>

/** What of an image all words look at, and what a caption starts from. */
interface ImageParts {
  /** [B S, channels] */
  readonly memory: Tensor
  /** [B S, A] */
  readonly keys: Tensor
  /** [B, D] */
  readonly h0: Tensor
  /** [B, D] */
  readonly c0: Tensor
}

interface LstmState extends ImageParts {
  /** [2, R, D]: of this position and the one before, in turns. */
  readonly hidden: Tensor
  /** float32 [2, R, D] */
  readonly cellStates: Tensor
  /** The recurrent weights where the backend likes them in another order. */
  readonly packed: Tensor | undefined
  readonly rowsPerImage: number
}

/** @throws ArgumentError when the classifier should share the embedding's weight */
export function lstmDecoder(c: LstmConfig, facts: DecoderFacts): Decoder {
  if (c.tied) throw argumentError('model', 'decoder.tied', 'false with the decoder lstm', c.tied)
  const specs = lstmSpec(c, facts)

  const imageParts = (p: LstmParams, memory: Tensor): ImageParts => {
    const mean = meanCell(memory, facts)
    return {
      memory,
      keys: linear({ x: memory, ...p.attention.encoder_att }),
      h0: linear({ x: mean, ...p.init_h }),
      c0: linear({ x: mean, ...p.init_c }),
    }
  }

  const embed = (p: LstmParams, tokens: Tensor): Tensor =>
    embedding({ tokens, tokenWeight: p.embedding.weight }, { scale: 1 })

  /** Hidden states [N, D] of packed captions, and where each looked, [N, S]. */
  const states = (p: LstmParams, memory: Tensor, text: PackedCaptions) => {
    const out = attendingLstm(
      {
        x: embed(p, text.tokens),
        ...imageParts(p, memory),
        decoderWeight: p.attention.decoder_att.weight,
        decoderBias: p.attention.decoder_att.bias,
        scoreWeight: p.attention.full_att.weight,
        scoreBias: p.attention.full_att.bias,
        gateWeight: p.f_beta.weight,
        gateBias: p.f_beta.bias,
        inputWeight: p.decode_step.weight_ih,
        inputBias: p.decode_step.bias_ih,
        hiddenWeight: p.decode_step.weight_hh,
        hiddenBias: p.decode_step.bias_hh,
        offsets: text.offsets,
      },
      { rowsPerKey: text.captionsPerImage, longest: text.longest },
    )
    const tokens = text.tokens.size
    return {
      hidden: () => section({ x: out }, { start: 0, shape: [tokens, c.dim] }),
      alpha: () => section({ x: out }, { start: tokens * c.dim, shape: [tokens, facts.cells] }),
    }
  }

  return defineDecoder({
    specs,
    /**
     * With the penalty on cells that a caption looks at too little or too much; not where tokens are weighted, as captions
     * that the model drew itself need not look at everything.
     */
    loss: (p: LstmParams, memory, text, options, mode) =>
      scope(() => {
        const { hidden, alpha } = states(p, memory, text)
        const words = captionLoss(
          maybeDropout(hidden(), c.outputDropout, mode),
          p.fc,
          text,
          options,
        )
        if (c.attentionPenalty === 0 || text.weights) return words
        const { offsets, targets, denominator } = text
        const penalty = attentionPenalty(
          { alpha: alpha(), offsets, targets, denominator },
          { scale: c.attentionPenalty },
        )
        return add({ a: words, b: penalty })
      }),

    tokenLosses: (p: LstmParams, memory, text) =>
      scope(() => captionTokenLosses(states(p, memory, text).hidden(), p.fc, text)),

    attention: (p: LstmParams, memory, text) =>
      scope(() => cast(states(p, memory, text).alpha(), 'float32')),

    start: (p: LstmParams, memory, rowsPerImage) =>
      scope((): LstmState => {
        const { dtype, device } = memory
        const parts = imageParts(p, memory)
        const rows = (parts.h0.shape[0] ?? 0) * rowsPerImage
        const shape = [2, rows, c.dim]
        return {
          ...parts,
          hidden: empty(shape, dtype, device),
          cellStates: empty(shape, 'float32', device),
          packed: packRecurrent(p, c, facts, rows),
          rowsPerImage,
        }
      }),

    step: (p: LstmParams, state: LstmState, tokens, position, ancestors) =>
      scope(() => {
        const { memory } = state
        const hidden = empty([tokens.size, c.dim], memory.dtype, memory.device)
        memory.device.kernels.attendingLstmStep(
          hidden,
          state.hidden,
          state.cellStates,
          embed(p, tokens),
          memory,
          state.keys,
          state.h0,
          state.c0,
          state.packed,
          p.attention.decoder_att.weight,
          p.attention.decoder_att.bias,
          p.attention.full_att.weight,
          p.f_beta.weight,
          p.f_beta.bias,
          p.decode_step.weight_ih,
          p.decode_step.bias_ih,
          p.decode_step.weight_hh,
          p.decode_step.bias_hh,
          ancestors,
          state.rowsPerImage,
          position,
        )
        return linear({ x: hidden, ...p.fc }, { outDtype: 'float32' })
      }),
  })
}

/** The mean [B, channels] of each image's cells. */
function meanCell(memory: Tensor, { cells }: DecoderFacts): Tensor {
  const [rows = 0, channels = 0] = memory.shape
  const shape = [rows / cells, cells, 1, channels]
  // A view where no gradient flows: a copy of all cells is the size of the memory.
  const map = activeTape()?.tracks(memory) ? reshape({ x: memory }, { shape }) : view(memory, shape)
  return reshape({ x: adaptiveAveragePool({ x: map }) }, { shape: [rows / cells, channels] })
}

// With fewer rows the CPU multiplies as fast without, and laying out takes as long as a few steps.
const fewestPacked = 33

/** The recurrent weights for steps with `rows` rows; undefined where they are best as they are. */
function packRecurrent(
  p: LstmParams,
  c: LstmConfig,
  { channels }: DecoderFacts,
  rows: number,
): Tensor | undefined {
  const { weight_ih, weight_hh } = p.decode_step
  const { device, dtype } = weight_hh
  if (device.name === 'cpu' && rows < fewestPacked) return undefined
  const whole = (size: number) => 64 * Math.ceil(size / 64)
  const recurrent = whole(c.attentionDim) + whole(channels) + whole(4 * c.dim)
  const input = whole(c.embeddingDim) + whole(channels)
  const packed = empty([recurrent * whole(c.dim) + whole(4 * c.dim) * input], dtype, device)
  const { decoder_att } = p.attention
  device.kernels.attendingLstmPack(
    packed,
    decoder_att.weight,
    p.f_beta.weight,
    weight_ih,
    weight_hh,
  )
  return packed
}
