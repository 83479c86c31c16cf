/**
 * Transformer caption decoder with cross-attention in every layer (Vaswani et al. 2017, arXiv:1706.03762; pre-norm
 * after Xiong et al. 2020, arXiv:2002.04745). Keys are those of PyTorch's nn.TransformerDecoderLayer.
 * Training takes captions packed one after another, so no padding is computed; decoding keeps keys and values.
 */
import type { Activation } from '../../kernels.js'
import { add } from '../../ops/add.js'
import { crossAttention } from '../../ops/cross-attention.js'
import { embedding } from '../../ops/embedding.js'
import { linear } from '../../ops/linear.js'
import { linearCrossEntropy } from '../../ops/linear-cross-entropy.js'
import { selfAttention } from '../../ops/self-attention.js'
import { tokenLoss } from '../../ops/token-loss.js'
import { cast, empty, scope, type Tensor, tensor, view } from '../../tensor.js'
import {
  applyNorm,
  linearResidual,
  linearSpec,
  maybeDropout,
  type NormKind,
  normSpec,
  rows,
} from '../layers.js'
import { inferenceMode, type Mode } from '../mode.js'
import { type ParamsOf, param } from '../params.js'

export interface TransformerConfig {
  readonly dim: number
  readonly layers: number
  readonly heads: number
  readonly feedForward: number
  readonly dropout: number
  readonly attentionDropout: number
  readonly activation: Activation
  readonly norm: NormKind
  readonly preNorm: boolean
  /** Whether the output weights are the embedding's. */
  readonly tied: boolean
  readonly positions: 'learned' | 'sinusoidal'
  /** Most tokens of a caption, the end token included. */
  readonly maxTokens: number
}

/** Captions packed one after another; N tokens in R captions, captions of one image side by side. */
export interface PackedCaptions {
  /** int32 [N]: begin token and words. */
  readonly tokens: Tensor
  /** int32 [N]: place of each token in its caption. */
  readonly positions: Tensor
  /** int32 [N]: words and end token; what `tokens` should predict. */
  readonly targets: Tensor
  /** int32 [R + 1]: where each caption begins. */
  readonly offsets: Tensor
  /** Tokens of the longest caption. */
  readonly longest: number
  /** Captions of each image. */
  readonly captionsPerImage: number
  /** [1]: number of tokens that the loss is divided by. */
  readonly denominator: Tensor
}

function layerSpec(c: TransformerConfig) {
  const attention = () => {
    const packed = linearSpec(c.dim, 3 * c.dim)
    return {
      in_proj_weight: packed.weight,
      in_proj_bias: packed.bias,
      out_proj: linearSpec(c.dim, c.dim),
    }
  }
  return {
    self_attn: attention(),
    multihead_attn: attention(),
    linear1: linearSpec(c.dim, c.feedForward),
    linear2: linearSpec(c.feedForward, c.dim),
    norm1: normSpec(c.norm, c.dim),
    norm2: normSpec(c.norm, c.dim),
    norm3: normSpec(c.norm, c.dim),
  }
}

/** @param channels of the image memory @param cells positions of the image memory */
export function transformerSpec(
  c: TransformerConfig,
  channels: number,
  cells: number,
  vocabulary: number,
) {
  const table = (n: number) => ({
    weight: param([n, c.dim], { kind: 'normal', std: 0.02 }, false),
  })
  return {
    embedding: {
      weight: param([vocabulary, c.dim], { kind: 'normal', std: c.dim ** -0.5 }, false),
    },
    ...(c.positions === 'learned' ? { positions: table(c.maxTokens) } : {}),
    memory: linearSpec(channels, c.dim),
    memory_positions: { weight: param([cells, c.dim], { kind: 'grid' }, false) },
    memory_norm: normSpec(c.norm, c.dim),
    layers: Array.from({ length: c.layers }, () => layerSpec(c)),
    ...(c.preNorm ? { norm: normSpec(c.norm, c.dim) } : {}),
    ...(c.tied
      ? { output: { bias: param([vocabulary], { kind: 'constant', value: 0 }) } }
      : { output: linearSpec(c.dim, vocabulary) }),
  }
}

export type TransformerParams = ParamsOf<ReturnType<typeof transformerSpec>>
type LayerParams = ParamsOf<ReturnType<typeof layerSpec>>

/** Keys and values of the captions so far, and of the image, for every layer. */
export interface TransformerState {
  readonly keys: readonly Tensor[] //     each [R, T, D]
  readonly values: readonly Tensor[] //   each [R, T, D]
  readonly crossKeyValues: readonly Tensor[] // each [B S, 2D]
  readonly queryOffsets: Tensor //        [B + 1]: the beams of one image are the queries of one row
  readonly keyOffsets: Tensor //          [B + 1]
  readonly beams: number
  readonly cells: number
  readonly positionTable: Tensor //       [T, D]
}

export function transformerDecoder(c: TransformerConfig) {
  /** memory [B S, channels] -> [B S, D]; learned positions tell the cells apart. */
  const project = (p: TransformerParams, memory: Tensor): Tensor =>
    scope(() => {
      const x = linear({ x: memory, ...weights(p.memory) })
      const { images, cells } = sizes(p, memory)
      const places = embedding(
        { tokens: cellIndex(images, cells, memory), tokenWeight: p.memory_positions.weight },
        { scale: 1 },
      )
      return applyNorm(p.memory_norm, add({ a: x, b: places }))
    })

  const positionTable = (p: TransformerParams, like: Tensor): Tensor =>
    p.positions?.weight ?? sinusoids(c.maxTokens, c.dim, like)

  /** Hidden states [N, D] of packed captions. */
  const hidden = (p: TransformerParams, memory: Tensor, text: PackedCaptions, mode: Mode) => {
    const { images, cells } = sizes(p, memory)
    const m = project(p, memory)
    const keyOffsets = regularOffsets(images, cells, memory)
    let x = embedding(
      {
        tokens: text.tokens,
        positions: text.positions,
        tokenWeight: p.embedding.weight,
        positionWeight: positionTable(p, memory),
      },
      { scale: Math.sqrt(c.dim) },
    )
    x = maybeDropout(x, c.dropout, mode)
    const attentionDropout = mode.rng ? c.attentionDropout : 0
    const attend = { heads: c.heads, probability: attentionDropout }
    for (const layer of p.layers)
      x = decoderLayer(layer, x, mode, {
        self: (h) =>
          selfAttention(
            {
              qkv: linear({ x: h, ...packed(layer.self_attn) }),
              offsets: text.offsets,
              rng: mode.rng,
            },
            { ...attend, causal: true, maxLength: text.longest, tag: mode.nextTag() },
          ),
        cross: (h) =>
          crossAttention(
            {
              q: linear({ x: h, ...queryPart(layer, c.dim) }),
              kv: linear({ x: m, ...keyValuePart(layer, c.dim) }),
              queryOffsets: text.offsets,
              keyOffsets,
              rng: mode.rng,
            },
            {
              ...attend,
              rowsPerKey: text.captionsPerImage,
              maxQueries: text.longest,
              maxKeys: cells,
              tag: mode.nextTag(),
            },
          ),
      })
    return p.norm ? applyNorm(p.norm, x) : x
  }

  const decoderLayer = (
    p: LayerParams,
    x: Tensor,
    mode: Mode,
    attend: { self: (h: Tensor) => Tensor; cross: (h: Tensor) => Tensor },
  ): Tensor =>
    scope(() => {
      const feedForward = (h: Tensor) =>
        maybeDropout(
          linear({ x: h, ...weights(p.linear1) }, { activation: c.activation }),
          c.dropout,
          mode,
        )
      let h = branch(p.norm1, x, (y) => [p.self_attn.out_proj, attend.self(y)], mode)
      h = branch(p.norm2, h, (y) => [p.multihead_attn.out_proj, attend.cross(y)], mode)
      return branch(p.norm3, h, (y) => [p.linear2, feedForward(y)], mode)
    })

  /** x + dropout(W f(norm(x))) with the norm before, or norm(x + dropout(W f(x))) with it after. */
  const branch = (
    norm: { weight: Tensor; bias?: Tensor },
    x: Tensor,
    inner: (h: Tensor) => readonly [{ weight: Tensor; bias: Tensor }, Tensor],
    mode: Mode,
  ): Tensor => {
    const [p, h] = inner(c.preNorm ? applyNorm(norm, x) : x)
    const sum = linearResidual(p, h, x, c.dropout, mode)
    return c.preNorm ? sum : applyNorm(norm, sum)
  }

  const head = (p: TransformerParams) => ({
    weight: 'weight' in p.output ? p.output.weight : p.embedding.weight,
    bias: p.output.bias,
  })

  return {
    /** Mean cross-entropy [1] of packed captions in nats per token. memory [B S, channels]. */
    loss: (
      p: TransformerParams,
      memory: Tensor,
      text: PackedCaptions,
      options: { labelSmoothing: number },
      mode: Mode,
    ): Tensor =>
      scope(() =>
        linearCrossEntropy(
          {
            x: hidden(p, memory, text, mode),
            ...head(p),
            targets: text.targets,
            denominator: text.denominator,
          },
          options,
        ),
      ),

    /** Cross-entropy [N] and rank of the right word int32 [N] of each token, without dropout or smoothing. */
    tokenLosses: (p: TransformerParams, memory: Tensor, text: PackedCaptions, mode: Mode) =>
      scope(() =>
        tokenLoss.withExtras({
          x: hidden(p, memory, text, mode),
          ...head(p),
          targets: text.targets,
        }),
      ),

    /** Prepares decoding with `beams` captions per image. memory [B S, channels]. */
    start: (p: TransformerParams, memory: Tensor, beams: number, maxTokens: number) =>
      scope((): TransformerState => {
        const { images, cells } = sizes(p, memory)
        const m = project(p, memory)
        const cache = () =>
          p.layers.map(() => empty([images * beams, maxTokens, c.dim], m.dtype, m.device))
        return {
          keys: cache(),
          values: cache(),
          crossKeyValues: p.layers.map((layer) => linear({ x: m, ...keyValuePart(layer, c.dim) })),
          queryOffsets: regularOffsets(images, beams, memory),
          keyOffsets: regularOffsets(images, cells, memory),
          beams,
          cells,
          positionTable: view(positionTable(p, memory), [c.maxTokens, c.dim]),
        }
      }),

    /** Logits float32 [R, V] after feeding `tokens` int32 [R] at `position`; `ancestors` as the kernel attendCache says. */
    step: (
      p: TransformerParams,
      state: TransformerState,
      tokens: Tensor,
      position: number,
      ancestors: Tensor | undefined,
    ): Tensor =>
      scope(() => {
        const { kernels } = tokens.device
        const mode = inferenceMode()
        const [count = 0] = tokens.shape
        let x = embedding(
          {
            tokens,
            positions: tensor(new Int32Array(count).fill(position), [count], tokens.device),
            tokenWeight: p.embedding.weight,
            positionWeight: state.positionTable,
          },
          { scale: Math.sqrt(c.dim) },
        )
        for (const [i, layer] of p.layers.entries())
          x = decoderLayer(layer, x, mode, {
            self: (h) => {
              const qkv = linear({ x: h, ...packed(layer.self_attn) })
              const out = empty([count, c.dim], x.dtype, x.device)
              const [keys, values] = [state.keys[i] as Tensor, state.values[i] as Tensor]
              kernels.attendCache(out, keys, values, qkv, ancestors, c.heads, position)
              return out
            },
            cross: (h) =>
              crossAttention(
                {
                  q: linear({ x: h, ...queryPart(layer, c.dim) }),
                  kv: state.crossKeyValues[i] as Tensor,
                  queryOffsets: state.queryOffsets,
                  keyOffsets: state.keyOffsets,
                },
                { heads: c.heads, rowsPerKey: 1, maxQueries: state.beams, maxKeys: state.cells },
              ),
          })
        const h = p.norm ? applyNorm(p.norm, x) : x
        return linear({ x: h, ...head(p) }, { outDtype: 'float32' })
      }),
  }
}

export type TransformerDecoder = ReturnType<typeof transformerDecoder>

interface PackedAttention {
  readonly in_proj_weight: Tensor
  readonly in_proj_bias: Tensor
}

function weights(p: { readonly weight: Tensor; readonly bias: Tensor }) {
  return { weight: p.weight, bias: p.bias }
}

function packed(p: PackedAttention) {
  return { weight: p.in_proj_weight, bias: p.in_proj_bias }
}

/** The first third of the packed projection makes queries, the rest keys and values. */
function queryPart({ multihead_attn: p }: LayerParams, dim: number) {
  return { weight: rows(p.in_proj_weight, 0, dim), bias: rows(p.in_proj_bias, 0, dim) }
}

function keyValuePart({ multihead_attn: p }: LayerParams, dim: number) {
  return { weight: rows(p.in_proj_weight, dim, 3 * dim), bias: rows(p.in_proj_bias, dim, 3 * dim) }
}

/** Images B and cells S of a memory [B S, channels]. */
function sizes(p: TransformerParams, memory: Tensor) {
  const cells = p.memory_positions.weight.shape[0] ?? 1
  return { images: (memory.shape[0] ?? 0) / cells, cells }
}

/** int32 [rows + 1]: 0, length, 2 length, ... */
function regularOffsets(count: number, length: number, like: Tensor): Tensor {
  return tensor(
    Int32Array.from({ length: count + 1 }, (_, i) => i * length),
    [count + 1],
    like.device,
  )
}

/** int32 [images cells]: the cell of each row of the memory. */
function cellIndex(images: number, cells: number, like: Tensor): Tensor {
  const index = Int32Array.from({ length: images * cells }, (_, i) => i % cells)
  return tensor(index, [index.length], like.device)
}

/** Fixed positions [n, dim] of Vaswani et al. 2017: sine in even, cosine in odd columns. */
function sinusoids(n: number, dim: number, like: Tensor): Tensor {
  const table = Float32Array.from({ length: n * dim }, (_, i) => {
    const column = i % dim
    const angle = Math.floor(i / dim) * 10000 ** -((column - (column % 2)) / dim)
    return column % 2 === 0 ? Math.sin(angle) : Math.cos(angle)
  })
  return cast(tensor(table, [n, dim], like.device), like.dtype)
}
