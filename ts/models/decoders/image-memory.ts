/**
 * What a transformer decoder looks at, made of the image memory [B S, channels] once for each image: projected, as it
 * is, or after a block of self-attention among the image's cells.
 */
import { argumentError } from '../../errors.js'
import { add } from '../../ops/add.js'
import { embedding } from '../../ops/embedding.js'
import { linear } from '../../ops/linear.js'
import { selfAttention } from '../../ops/self-attention.js'
import { scope, type Tensor, tensor } from '../../tensor.js'
import type { ModelConfig } from '../config.js'
import { applyNorm, normSpec } from '../layers.js'
import { type ParamsOf, type ParamTree, param } from '../params.js'
import { type ImageSizes, regularOffsets } from './attending.js'
import { headSizeOf } from './attention.js'
import type { DecoderFacts } from './decoder.js'
import type { Recipe } from './recipes.js'

export interface ImageMemory {
  /** What it learns, as part of the decoder. */
  readonly specs: object
  /** [B S, dim] of memory [B S, channels]; `p` are the decoder's parameters. */
  readonly forward: (p: object, memory: Tensor) => Tensor
}

type Config = ModelConfig['decoder']

export function sizesOf(memory: Tensor, { cells }: DecoderFacts): ImageSizes {
  return { images: (memory.shape[0] ?? 0) / cells, cells }
}

/** @throws ArgumentError for a direct memory whose channels are not `dim` */
export function imageMemory(c: Config, facts: DecoderFacts, recipe: Recipe): ImageMemory {
  switch (c.memory) {
    case 'projected':
      return projected(c, facts, recipe)
    case 'direct':
      return direct(c, facts)
    case 'block':
      return block(c, facts, recipe)
  }
}

/** A linear layer, learned positions that tell the cells apart, and a norm. */
function projected(c: Config, facts: DecoderFacts, recipe: Recipe): ImageMemory {
  const specs = {
    memory: recipe.linear(facts.channels, c.dim),
    memory_positions: { weight: param([facts.cells, c.dim], { kind: 'grid' }, false) },
    memory_norm: normSpec(c.norm, c.dim),
  }
  return define(specs, (p, memory) => {
    const x = linear({ x: memory, ...p.memory })
    const places = embedding(
      { tokens: cellIndex(sizesOf(memory, facts), memory), tokenWeight: p.memory_positions.weight },
      { scale: 1 },
    )
    return applyNorm(p.memory_norm, add({ a: x, b: places }), recipe.normEpsilon)
  })
}

function direct({ dim }: Config, { channels }: DecoderFacts): ImageMemory {
  if (channels !== dim)
    throw argumentError(
      'model',
      'decoder.dim',
      `${channels}, the channels of the encoder, with memory "direct" (or memory "projected")`,
      dim,
    )
  return { specs: {}, forward: (_, memory) => memory }
}

/** A post-norm encoder block without a feed-forward layer, behind a norm and a linear layer with ReLU. */
function block(c: Config, facts: DecoderFacts, recipe: Recipe): ImageMemory {
  const heads = c.memoryHeads
  const size = headSizeOf({ ...c, heads }, 'memoryHeads')
  const specs = {
    memory: {
      norm1: normSpec(c.norm, facts.channels),
      linear1: recipe.linear(facts.channels, c.dim),
      self_attn: recipe.attention(c.dim, heads, size),
      norm2: normSpec(c.norm, c.dim),
    },
  }
  return define(specs, ({ memory: p }, memory) => {
    const { images, cells } = sizesOf(memory, facts)
    const x = linear(
      { x: applyNorm(p.norm1, memory, recipe.normEpsilon), ...p.linear1 },
      { activation: 'relu' },
    )
    const { in_proj_weight: weight, in_proj_bias: bias, out_proj: out } = p.self_attn
    const seen = selfAttention(
      { qkv: linear({ x, weight, bias }), offsets: regularOffsets(images, cells, memory) },
      { heads, causal: false, maxLength: cells },
    )
    return applyNorm(p.norm2, linear({ x: seen, ...out, residual: x }), recipe.normEpsilon)
  })
}

/** Keeps specs and params typed where they are defined. */
function define<const S extends ParamTree>(
  specs: S,
  forward: (p: ParamsOf<S>, memory: Tensor) => Tensor,
): ImageMemory {
  return { specs, forward: (p, memory) => scope(() => forward(p as ParamsOf<S>, memory)) }
}

/** int32 [B S]: the cell of each row of the memory. */
function cellIndex({ images, cells }: ImageSizes, like: Tensor): Tensor {
  const index = Int32Array.from({ length: images * cells }, (_, i) => i % cells)
  return tensor(index, [index.length], like.device)
}
