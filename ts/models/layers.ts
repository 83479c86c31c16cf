/** The layers that several models share: each a spec (what it learns) and a forward over ops. */
import type { Activation } from '../kernels.js'
import { convolution } from '../ops/convolution.js'
import { convolutionBatchNorm } from '../ops/convolution-batch-norm.js'
import { dropout } from '../ops/dropout.js'
import { foldBatchNorm } from '../ops/fold-batch-norm.js'
import { defaultEpsilon, layerNorm } from '../ops/layer-norm.js'
import { linear } from '../ops/linear.js'
import type { Padding } from '../ops/padding.js'
import { rmsNorm } from '../ops/rms-norm.js'
import { activeTape } from '../tape.js'
import { cast, type Tensor, view } from '../tensor.js'
import { type Fold, keepFold, type Mode } from './mode.js'
import { type ParamsOf, param, statistic } from './params.js'

const batchNormEpsilon = 1e-5

/** weight [out, size, size, in / groups]; He et al. 2015, arXiv:1502.01852, fan-out as torchvision does. */
export function convolutionSpec(inputs: number, outputs: number, size: number, groups = 1) {
  const fanOut = (outputs * size * size) / groups
  return {
    weight: {
      ...param([outputs, size, size, inputs / groups], {
        kind: 'normal',
        std: Math.sqrt(2 / fanOut),
      }),
      kernel: true,
    },
  }
}

export function batchNormSpec(channels: number) {
  return {
    weight: param([channels], { kind: 'constant', value: 1 }),
    bias: param([channels], { kind: 'constant', value: 0 }),
    running_mean: statistic([channels], 0),
    running_var: statistic([channels], 1),
  }
}

export interface ConvolutionOptions {
  readonly stride?: number
  readonly padding: Padding
  readonly groups?: number
  readonly activation?: Activation
  readonly residual?: Tensor | undefined
  /** Added to the variance by the norm; it belongs to the weights. 1e-5, PyTorch's, unless given. */
  readonly epsilon?: number
}

/**
 * activation(batchNorm(x * weight) + residual). With `trainable` false, or in inference, running statistics are
 * folded into the convolution once.
 * @param x [B, H, W, C]
 */
export function convolutionWithNorm(
  conv: ParamsOf<ReturnType<typeof convolutionSpec>>,
  norm: ParamsOf<ReturnType<typeof batchNormSpec>>,
  x: Tensor,
  { residual, epsilon = batchNormEpsilon, ...options }: ConvolutionOptions,
  mode: Mode,
  trainable: boolean,
): Tensor {
  if (mode.training && trainable) {
    const { weight: gamma, bias: beta, running_mean: runningMean, running_var: runningVar } = norm
    return convolutionBatchNorm(
      { x, weight: conv.weight, gamma, beta, runningMean, runningVar, residual },
      { ...options, epsilon, momentum: 0.1 },
    )
  }
  const { weight, bias, constant } = folded(conv, norm, epsilon, x, mode)
  return convolution({ x, weight, bias, residual }, { ...options, constant })
}

function folded(
  conv: ParamsOf<ReturnType<typeof convolutionSpec>>,
  norm: ParamsOf<ReturnType<typeof batchNormSpec>>,
  epsilon: number,
  x: Tensor,
  mode: Mode,
): Fold {
  const known = mode.folds.get(conv.weight)
  if (known) return known
  const { out: weight, bias } = foldBatchNorm.withExtras(
    {
      weight: conv.weight,
      gamma: norm.weight,
      beta: norm.bias,
      runningMean: norm.running_mean,
      runningVar: norm.running_var,
    },
    { epsilon },
  )
  return keepFold(mode.folds, conv.weight, cast(weight, x.dtype), bias)
}

/** weight [out, in], bias [out]; Glorot and Bengio 2010 (uniform). */
export function linearSpec(inputs: number, outputs: number) {
  return {
    weight: param([outputs, inputs], {
      kind: 'uniform',
      bound: Math.sqrt(6 / (inputs + outputs)),
    }),
    bias: param([outputs], { kind: 'constant', value: 0 }),
  }
}

export type NormKind = 'layer' | 'rms'

/** A layer norm (weight, bias) or RMS norm (weight). */
export function normSpec(kind: NormKind, channels: number) {
  const weight = param([channels], { kind: 'constant', value: 1 })
  return kind === 'rms'
    ? { weight }
    : { weight, bias: param([channels], { kind: 'constant', value: 0 }) }
}

/** Normalises the last axis of x [..., C]; an RMS norm has no bias. */
export function applyNorm(
  p: { weight: Tensor; bias?: Tensor },
  x: Tensor,
  epsilon = defaultEpsilon,
): Tensor {
  return p.bias
    ? layerNorm({ x, weight: p.weight, bias: p.bias }, { epsilon })
    : rmsNorm({ x, weight: p.weight }, { epsilon })
}

/** residual + dropout(x W^T + b), the end of every branch of a transformer. */
export function linearResidual(
  p: { weight: Tensor; bias?: Tensor },
  x: Tensor,
  residual: Tensor,
  probability: number,
  mode: Mode,
): Tensor {
  if (!mode.rng || probability === 0) return linear({ x, weight: p.weight, bias: p.bias, residual })
  const branch = linear({ x, weight: p.weight, bias: p.bias })
  return dropout({ x: branch, residual, rng: mode.rng }, { probability, tag: mode.nextTag() })
}

/** x with a share of its elements zeroed, while training. */
export function maybeDropout(x: Tensor, probability: number, mode: Mode): Tensor {
  if (!mode.rng || probability === 0) return x
  return dropout({ x, rng: mode.rng }, { probability, tag: mode.nextTag() })
}

/** Rows start .. end of a parameter, a view: its gradient is theirs of the parameter's. */
export function rows(t: Tensor, start: number, end: number): Tensor {
  const first = start * (t.size / (t.shape[0] ?? 1))
  const part = view(t, [end - start, ...t.shape.slice(1)], first)
  activeTape()?.trackPart(t, part, first)
  return part
}

/** The matrix [O, C] that a parameter [O, C, 1, 1] is, a view: its gradient is the parameter's. */
export function matrix(t: Tensor): Tensor {
  const [outputs = 1, inputs = 1] = t.shape
  const part = view(t, [outputs, inputs])
  activeTape()?.trackPart(t, part, 0)
  return part
}
