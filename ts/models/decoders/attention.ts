/** The projections of multi-head attention, packed as PyTorch's nn.MultiheadAttention has them, and its head sizes. */
import { argumentError } from '../../errors.js'
import type { Tensor } from '../../tensor.js'
import { rows } from '../layers.js'

export interface PackedAttention {
  /** [3 inner, dim] */
  readonly in_proj_weight: Tensor
  /** [3 inner] */
  readonly in_proj_bias: Tensor
}

/** Weight and bias that make queries, keys and values. */
export function packed(p: PackedAttention) {
  return { weight: p.in_proj_weight, bias: p.in_proj_bias }
}

/** The first third of them makes queries. */
export function queryPart({ in_proj_weight: weight, in_proj_bias: bias }: PackedAttention) {
  const inner = innerOf(weight)
  return { weight: rows(weight, 0, inner), bias: rows(bias, 0, inner) }
}

/** The rest makes keys and values. */
export function keyValuePart({ in_proj_weight: weight, in_proj_bias: bias }: PackedAttention) {
  const inner = innerOf(weight)
  return { weight: rows(weight, inner, 3 * inner), bias: rows(bias, inner, 3 * inner) }
}

function innerOf(weight: Tensor): number {
  return (weight.shape[0] ?? 0) / 3
}

/**
 * Channels of each head.
 * @param name the config key that holds `heads`
 * @throws ArgumentError when no size is given and the heads do not divide `dim`
 */
export function headSizeOf(
  c: { readonly dim: number; readonly heads: number; readonly headSize?: number | undefined },
  name: 'heads' | 'memoryHeads' = 'heads',
): number {
  const size = c.headSize ?? c.dim / c.heads
  if (!Number.isInteger(size))
    throw argumentError(
      'model',
      `decoder.${name}`,
      `a number that divides decoder.dim (${c.dim}), or decoder.headSize beside it`,
      c.heads,
    )
  return size
}

/** The same for heads that are turned by position. @throws ArgumentError for an odd size too */
export function evenHeadSize(c: Parameters<typeof headSizeOf>[0]): number {
  const size = headSizeOf(c)
  if (size % 2 !== 0)
    throw argumentError(
      'model',
      'decoder.headSize',
      'an even number of channels for rotary positions',
      size,
    )
  return size
}
