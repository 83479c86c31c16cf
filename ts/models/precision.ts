/**
 * In which dtype a model computes. With bfloat16, activations and parameters of two axes and more are bfloat16, vectors
 * and sums stay float32. Which op takes what is in ops/; the float32 weights behind trained ones are in train/.
 */
import { argumentError } from '../errors.js'
import type { Device } from '../native.js'
import type { FloatDtype } from '../ops/define-op.js'
import { cast, type Tensor } from '../tensor.js'
import type { ModelParams } from './model.js'
import type { ParamSpec } from './params.js'

/** Settings of precision; 'auto' is bfloat16 on a GPU and float32 on the CPU. */
export const precisions = ['auto', 'float32', 'bfloat16'] as const

export type Precision = (typeof precisions)[number]

/** @throws ArgumentError for bfloat16 on the CPU, which computes in float32 */
export function computeDtype(precision: Precision, { name }: Device): FloatDtype {
  if (precision === 'bfloat16' && name === 'cpu')
    throw argumentError('config', 'precision', '"auto" or "float32" on device "cpu"', precision)
  return precision === 'auto' ? (name === 'cuda' ? 'bfloat16' : 'float32') : precision
}

/** The dtype that a model with these parameters computes in. */
export function dtypeOf(params: Pick<ModelParams, 'decoder'>): FloatDtype {
  return params.decoder.embedding.weight.dtype as FloatDtype
}

/**
 * A parameter that is not trained, as the model takes it: a bfloat16 copy or `t` itself. Convolution kernels stay float32,
 * because batch norm is folded into them first.
 */
export function computeCopy({ shape, kernel }: ParamSpec, t: Tensor, dtype: FloatDtype): Tensor {
  return shape.length > 1 && !kernel ? cast(t, dtype) : t
}
