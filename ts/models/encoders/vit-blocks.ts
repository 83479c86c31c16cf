/**
 * What the vision transformers have in common (Dosovitskiy et al. 2020, arXiv:2010.11929): patches as tokens, and blocks of
 * self-attention and a feed-forward layer. What their parameters are called is vit.ts' and vit-postnorm.ts'.
 */
import { argumentError } from '../../errors.js'
import { convolution } from '../../ops/convolution.js'
import { imageTokens } from '../../ops/image-tokens.js'
import { linear } from '../../ops/linear.js'
import { selfAttention } from '../../ops/self-attention.js'
import { cast, scope, type Tensor, tensor } from '../../tensor.js'
import { applyNorm, linearResidual, linearSpec, maybeDropout } from '../layers.js'
import { keepFold, type Mode } from '../mode.js'
import { type ParamsOf, param } from '../params.js'

/** Pixels of a patch's side. */
export const patchSize = 16

export interface VisionTransformerShape {
  readonly dim: number
  readonly layers: number
  readonly heads: number
  readonly feedForward: number
}

/** Patches of an image, and the class token. @throws ArgumentError unless patches fill the image */
export function tokensOf(name: string, size: number): number {
  if (size % patchSize !== 0)
    throw argumentError('model', 'image.size', `a multiple of ${patchSize} for ${name}`, size)
  return 1 + (size / patchSize) ** 2
}

/** weight [dim, 16, 16, 3] and bias. */
export function patchSpec(dim: number) {
  const std = Math.sqrt(1 / (3 * patchSize ** 2))
  return {
    weight: { ...param([dim, patchSize, patchSize, 3], { kind: 'normal', std }), kernel: true },
    bias: param([dim], { kind: 'constant', value: 0 }),
  }
}

/** Queries, keys and values in one, as PyTorch's nn.MultiheadAttention has them. */
export function attentionSpec(dim: number) {
  const packed = linearSpec(dim, 3 * dim)
  return {
    in_proj_weight: packed.weight,
    in_proj_bias: packed.bias,
    out_proj: linearSpec(dim, dim),
  }
}

/**
 * The class token, then the patches of x [B, H, W, C >= 3] row by row, with their positions: [B (1 + P), D].
 * @param first     D numbers
 * @param positions (1 + P) D numbers
 */
export function patchTokens(
  patch: ParamsOf<ReturnType<typeof patchSpec>>,
  first: Tensor,
  positions: Tensor,
  x: Tensor,
  mode: Mode,
): Tensor {
  const map = convolution(
    { x, weight: kernelLike(patch, x, mode), bias: patch.bias },
    { stride: patchSize, padding: 0 },
  )
  return imageTokens({ x: map, first, positions })
}

/** The kernel in the dtype of x: frozen ones are kept in float32 (precision.ts) and converted once. */
function kernelLike({ weight, bias }: Layer, x: Tensor, mode: Mode): Tensor {
  if (weight.dtype === x.dtype) return weight
  const known = mode.folds.get(weight)
  if (known) return known.weight
  return keepFold(mode.folds, weight, cast(weight, x.dtype), bias).weight
}

interface Layer {
  readonly weight: Tensor
  readonly bias: Tensor
}

export interface Block {
  readonly attention: ParamsOf<ReturnType<typeof attentionSpec>>
  readonly norm1: Layer
  readonly linear1: Layer
  readonly linear2: Layer
  readonly norm2: Layer
}

export interface BlockOptions {
  readonly heads: number
  /** Norms before each branch, or after its sum. */
  readonly preNorm: boolean
  readonly epsilon: number
  /** Of the feed-forward layer and of what both branches add. */
  readonly dropout: number
  readonly attentionDropout: number
}

/** x [B S, D] -> [B S, D]; offsets as selfAttention takes them. */
export function applyBlock(
  p: Block,
  x: Tensor,
  offsets: Tensor,
  maxLength: number,
  { heads, preNorm, epsilon, dropout, attentionDropout }: BlockOptions,
  mode: Mode,
): Tensor {
  const branch = (
    norm: Layer,
    input: Tensor,
    inner: (h: Tensor) => readonly [last: Layer, h: Tensor],
  ) => {
    const [last, h] = inner(preNorm ? applyNorm(norm, input, epsilon) : input)
    const sum = linearResidual(last, h, input, dropout, mode)
    return preNorm ? sum : applyNorm(norm, sum, epsilon)
  }
  const attend = (h: Tensor) => {
    const { in_proj_weight: weight, in_proj_bias: bias, out_proj } = p.attention
    const attended = selfAttention(
      { qkv: linear({ x: h, weight, bias }), offsets, rng: mode.rng },
      {
        heads,
        causal: false,
        maxLength,
        probability: mode.rng ? attentionDropout : 0,
        tag: mode.nextTag(),
      },
    )
    return [out_proj, attended] as const
  }
  const feedForward = (h: Tensor) => {
    const hidden = linear({ x: h, ...weights(p.linear1) }, { activation: 'gelu' })
    return [p.linear2, maybeDropout(hidden, dropout, mode)] as const
  }
  return scope(() => branch(p.norm2, branch(p.norm1, x, attend), feedForward))
}

function weights({ weight, bias }: Layer) {
  return { weight, bias }
}

/** int32 [B + 1]: where the tokens of each image begin. */
export function tokenOffsets(images: number, tokens: number, like: Tensor): Tensor {
  const offsets = Int32Array.from({ length: images + 1 }, (_, i) => i * tokens)
  return tensor(offsets, [images + 1], like.device)
}
