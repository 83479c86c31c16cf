/**
 * The parts of EIR's decoder (eir.ts): causal blocks with rotary positions, SwiGLU and layer scale, and the fusion with
 * the image. Packed projections stand for the separate ones there: q, k, v; w1, w2 of SwiGLU; to_k, to_v.
 */
import { layerScale } from '../../ops/layer-scale.js'
import { linear } from '../../ops/linear.js'
import { rmsNorm } from '../../ops/rms-norm.js'
import { swiglu } from '../../ops/swiglu.js'
import { scope, type Tensor } from '../../tensor.js'
import type { ModelConfig } from '../config.js'
import { maybeDropout, normSpec } from '../layers.js'
import type { Mode } from '../mode.js'
import { type ParamsOf, param } from '../params.js'
import type { Attending } from './attending.js'
import { recipes } from './recipes.js'

export type EirConfig = ModelConfig['decoder']

/** What PyTorch's RMSNorm adds to the mean square unless told otherwise: the step of float32 at 1. */
const epsilon = 2 ** -23

/** A linear layer without bias that starts as PyTorch's. */
const plain = (inputs: number, outputs: number) => ({
  weight: param([outputs, inputs], { kind: 'uniform', bound: inputs ** -0.5 }),
})
const scaleSpec = (dim: number) => ({ gamma: param([dim], { kind: 'constant', value: 1e-5 }) })

/** A norm, then SwiGLU of `hidden` channels; linear1 is gate and value side by side. */
const gatedSpec = (dim: number, hidden: number) => {
  const matrix = (rows: number, columns: number) => ({
    weight: param([rows, columns], { kind: 'normal', std: 0.02 }),
  })
  return {
    norm: normSpec('rms', dim),
    linear1: matrix(2 * hidden, dim),
    linear2: matrix(dim, hidden),
  }
}

/** @param size channels of a head */
export function blockSpec({ dim, heads, feedForward }: EirConfig, size: number) {
  const inner = heads * size
  return {
    norm: normSpec('rms', dim),
    in_proj: plain(dim, 3 * inner),
    out_proj: plain(inner, dim),
    ls1: scaleSpec(dim),
    ffn: gatedSpec(dim, feedForward),
    ls2: scaleSpec(dim),
  }
}

/** Each head is as wide as the words' vectors. */
function lookSpec({ dim, heads }: EirConfig, channels: number) {
  const inner = heads * dim
  return {
    to_q: plain(dim, inner),
    to_kv: plain(channels, 2 * inner),
    to_out: recipes.torch.linear(inner, dim),
  }
}

export function fusionSpec(c: EirConfig, channels: number, size: number) {
  return {
    identity: lookSpec(c, channels),
    words: gatedSpec(c.dim, c.feedForward),
    image: gatedSpec(channels, 4 * channels),
    look: lookSpec(c, channels),
    seen: gatedSpec(c.dim, c.feedForward),
    block: blockSpec(c, size),
    ls: scaleSpec(c.dim),
  }
}

type BlockParams = ParamsOf<ReturnType<typeof blockSpec>>
type GatedParams = ParamsOf<ReturnType<typeof gatedSpec>>
type LookParams = ParamsOf<ReturnType<typeof lookSpec>>
export type FusionParams = ParamsOf<ReturnType<typeof fusionSpec>>

/** How the words of a pass attend, and what is dropped while training. */
export interface Pass {
  readonly attend: Attending
  readonly dropout: number
  readonly mode: Mode
}

/** [N, D] of [N, D]; `index` counts the blocks of a pass from 0. */
export function block(p: BlockParams, x: Tensor, index: number, pass: Pass): Tensor {
  return scope(() => {
    const qkv = linear({ x: normed(p.norm, x), weight: p.in_proj.weight })
    const seen = linear({ x: pass.attend.before(qkv, index), weight: p.out_proj.weight })
    const h = layerScale({
      x: maybeDropout(seen, pass.dropout, pass.mode),
      scale: p.ls1.gamma,
      residual: x,
    })
    return layerScale({ x: gated(p.ffn, h), scale: p.ls2.gamma, residual: h })
  })
}

/** Keys and values [B S, 2 inner] of the fusion's two looks at the image. */
export interface KeyValues {
  readonly identity: Tensor
  readonly look: Tensor
}

/** The image's side of the fusion, once for all its captions. memory [B S, channels] */
export function keyValues(p: FusionParams, memory: Tensor): KeyValues {
  return {
    identity: linear({ x: memory, weight: p.identity.to_kv.weight }),
    look: linear({ x: gated(p.image, memory), weight: p.look.to_kv.weight }),
  }
}

/** Queries [N, inner] of the main branch. */
export function lookQueries(p: FusionParams, x: Tensor): Tensor {
  return linear({ x: gated(p.words, x), weight: p.look.to_q.weight })
}

/** x + the look at the image as it is + a factor a channel times the main branch, whose block has number `index`. */
export function fuse(p: FusionParams, x: Tensor, kv: KeyValues, index: number, pass: Pass): Tensor {
  return scope(() => {
    const queries = linear({ x, weight: p.identity.to_q.weight })
    const identity = look(p.identity, queries, kv.identity, pass.attend, x)
    const seen = look(p.look, lookQueries(p, x), kv.look, pass.attend)
    const main = block(p.block, gated(p.seen, seen), index, pass)
    return layerScale({ x: main, scale: p.ls.gamma, residual: identity })
  })
}

function look(p: LookParams, q: Tensor, kv: Tensor, attend: Attending, residual?: Tensor): Tensor {
  return linear({ x: attend.image(q, kv), ...p.to_out, residual })
}

export function normed({ weight }: { readonly weight: Tensor }, x: Tensor): Tensor {
  return rmsNorm({ x, weight }, { epsilon })
}

/** W2 (silu(gate) value) of the normed x. */
function gated(p: GatedParams, x: Tensor): Tensor {
  const h = swiglu({ x: linear({ x: normed(p.norm, x), weight: p.linear1.weight }) })
  return linear({ x: h, weight: p.linear2.weight })
}
