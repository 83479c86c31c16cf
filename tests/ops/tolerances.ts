/** Tolerances of the op tests by dtype. */
import type { OpName } from '../../ts/ops/registry.js'

/**
 * `forward`: the largest error against float64, relative to the largest expected value; bfloat16 has 8 bits, so an output
 * is rounded by up to 2^-9 of itself, and a value kept between two passes again. `gradient`: against central differences,
 * relative to the norm of the gradient and of the direction. `elements`: the norm of the difference from the CPU backend's
 * gradient, relative to the norm of that.
 */
export const tolerances = {
  float32: { forward: 2e-5, gradient: 2e-4, elements: 1e-4 },
  bfloat16: { forward: 1e-2, gradient: 2e-2, elements: 2e-2 },
} as const

/** Ops that need more in bfloat16: a value that rounding moves over the edge of a relu changes whole gradients. */
export const halfExceptions: Readonly<Partial<Record<OpName, { readonly elements: number }>>> = {
  attendingLstm: { elements: 0.06 },
  convolutionBatchNorm: { elements: 0.1 },
}
