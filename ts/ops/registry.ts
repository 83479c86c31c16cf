/** The list of all ops: what the tests, the benchmark and `doctor` walk over. One line an op. */
import { add } from './add.js'
import { averagePool } from './average-pool.js'
import { convolution } from './convolution.js'
import { convolutionBatchNorm } from './convolution-batch-norm.js'
import { crossAttention } from './cross-attention.js'
import { dropout } from './dropout.js'
import { embedding } from './embedding.js'
import { foldBatchNorm } from './fold-batch-norm.js'
import { layerNorm } from './layer-norm.js'
import { linear } from './linear.js'
import { linearCrossEntropy } from './linear-cross-entropy.js'
import { maxPool } from './max-pool.js'
import { normalizeImage } from './normalize-image.js'
import { reshape } from './reshape.js'
import { rmsNorm } from './rms-norm.js'
import { selfAttention } from './self-attention.js'
import { slice } from './slice.js'
import { tokenLoss } from './token-loss.js'
import { weightedSum } from './weighted-sum.js'

export const ops = {
  add,
  averagePool,
  convolution,
  convolutionBatchNorm,
  dropout,
  embedding,
  foldBatchNorm,
  layerNorm,
  linear,
  linearCrossEntropy,
  maxPool,
  normalizeImage,
  crossAttention,
  reshape,
  rmsNorm,
  selfAttention,
  slice,
  tokenLoss,
  weightedSum,
} as const

export type OpName = keyof typeof ops
