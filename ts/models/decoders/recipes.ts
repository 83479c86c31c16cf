/** How the matrices and tables of a transformer decoder start, by where the decoder comes from. */
import { type Init, type ParamSpec, param } from '../params.js'

/** Types and not interfaces, so that they count as parts of a ParamTree. */
export type Affine = {
  /** [outputs, inputs] */
  readonly weight: ParamSpec
  /** [outputs] */
  readonly bias: ParamSpec
}

/** Multi-head attention under the names of PyTorch's nn.MultiheadAttention; `inner` = heads * size. */
export type AttentionSpec = {
  /** [3 inner, dim] rows for queries, keys, values */
  readonly in_proj_weight: ParamSpec
  /** [3 inner] */
  readonly in_proj_bias: ParamSpec
  /** [dim, inner] */
  readonly out_proj: Affine
}

export interface Recipe {
  /** Of word embeddings with `dim` columns. */
  readonly embedding: (dim: number) => Init
  readonly positions: Init
  /** `parts` layers side by side, each of so many outputs. */
  readonly linear: (inputs: number, outputs: number, parts?: number) => Affine
  readonly attention: (dim: number, heads: number, size: number) => AttentionSpec
  /** Added to variances by its norms. */
  readonly normEpsilon: number
}

const affine = (outputs: number, inputs: number, bound: number, biasBound = 0): Affine => ({
  weight: param([outputs, inputs], { kind: 'uniform', bound }),
  bias: param(
    [outputs],
    biasBound ? { kind: 'uniform', bound: biasBound } : { kind: 'constant', value: 0 },
  ),
})

const packed = (dim: number, inner: number, bound: number, out: Affine): AttentionSpec => {
  const { weight, bias } = affine(3 * inner, dim, bound)
  return { in_proj_weight: weight, in_proj_bias: bias, out_proj: out }
}

/** Glorot and Bengio 2010, uniform. */
const glorot = (inputs: number, outputs: number) => Math.sqrt(6 / (inputs + outputs))

const glorotLinear: Recipe['linear'] = (inputs, outputs, parts = 1) =>
  affine(parts * outputs, inputs, glorot(inputs, outputs))

export const recipes: Readonly<Record<'own' | 'torch' | 'keras', Recipe>> = {
  own: {
    embedding: (dim) => ({ kind: 'normal', std: dim ** -0.5 }),
    positions: { kind: 'normal', std: 0.02 },
    linear: glorotLinear,
    attention: (dim, heads, size) => {
      const inner = heads * size
      return packed(dim, inner, glorot(dim, 3 * inner), glorotLinear(inner, dim))
    },
    normEpsilon: 1e-5,
  },
  /** The defaults of PyTorch's nn.Linear, nn.Embedding and nn.MultiheadAttention. */
  torch: {
    embedding: () => ({ kind: 'normal', std: 1 }),
    positions: { kind: 'normal', std: 1 },
    linear: (inputs, outputs, parts = 1) =>
      affine(parts * outputs, inputs, inputs ** -0.5, inputs ** -0.5),
    attention: (dim, heads, size) => {
      const inner = heads * size
      return packed(dim, inner, glorot(dim, 3 * inner), affine(dim, inner, inner ** -0.5))
    },
    normEpsilon: 1e-5,
  },
  /**
   * The defaults of Keras 2's Dense, Embedding, MultiHeadAttention and LayerNormalization. It counts the fans of a kernel
   * with three axes as those of a convolution: [dim, heads, size] has `dim` places, [heads, size, dim] has `heads`.
   */
  keras: {
    embedding: () => ({ kind: 'uniform', bound: 0.05 }),
    positions: { kind: 'uniform', bound: 0.05 },
    linear: glorotLinear,
    attention: (dim, heads, size) => {
      const out = affine(dim, heads * size, glorot(heads * size, heads * dim))
      return packed(dim, heads * size, glorot(dim * heads, dim * size), out)
    },
    normEpsilon: 1e-3,
  },
}
