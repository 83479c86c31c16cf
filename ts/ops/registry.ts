/** The list of all ops: what the tests, the benchmark and `doctor` walk over. One line an op. */
import { adaptiveAveragePool } from './adaptive-average-pool.js'
import { add } from './add.js'
import { attendingLstm } from './attending-lstm.js'
import { attentionPenalty } from './attention-penalty.js'
import { attentionWeights } from './attention-weights.js'
import { channelGate } from './channel-gate.js'
import { convolution } from './convolution.js'
import { convolutionBatchNorm } from './convolution-batch-norm.js'
import { crossAttention } from './cross-attention.js'
import { dropout } from './dropout.js'
import { embedding } from './embedding.js'
import { foldBatchNorm } from './fold-batch-norm.js'
import { imageTokens } from './image-tokens.js'
import { layerNorm } from './layer-norm.js'
import { layerScale } from './layer-scale.js'
import { linear } from './linear.js'
import { linearCrossEntropy } from './linear-cross-entropy.js'
import { maxPool } from './max-pool.js'
import { normalizeImage } from './normalize-image.js'
import { reshape } from './reshape.js'
import { rmsNorm } from './rms-norm.js'
import { rotary } from './rotary.js'
import { section } from './section.js'
import { selfAttention } from './self-attention.js'
import { slice } from './slice.js'
import { swiglu } from './swiglu.js'
import { tokenLoss } from './token-loss.js'
import { weightedSum } from './weighted-sum.js'

export const ops = {
  adaptiveAveragePool,
  add,
  attendingLstm,
  attentionPenalty,
  channelGate,
  convolution,
  convolutionBatchNorm,
  dropout,
  embedding,
  foldBatchNorm,
  imageTokens,
  layerNorm,
  layerScale,
  linear,
  linearCrossEntropy,
  maxPool,
  normalizeImage,
  crossAttention,
  attentionWeights,
  reshape,
  rmsNorm,
  rotary,
  section,
  selfAttention,
  slice,
  swiglu,
  tokenLoss,
  weightedSum,
} as const

export type OpName = keyof typeof ops
