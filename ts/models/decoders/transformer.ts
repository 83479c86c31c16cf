/**
 * Transformer caption decoder with cross-attention in every layer (Vaswani et al. 2017, arXiv:1706.03762; pre-norm
 * after Xiong et al. 2020, arXiv:2002.04745). Keys are those of PyTorch's nn.TransformerDecoderLayer.
 * Training takes captions packed one after another, so no padding is computed; decoding keeps keys and values.
 */
import { attentionWeights } from '../../ops/attention-weights.js'
import { linear } from '../../ops/linear.js'
import { swiglu } from '../../ops/swiglu.js'
import { scope, type Tensor, view } from '../../tensor.js'
import type { ModelConfig } from '../config.js'
import { applyNorm, linearResidual, maybeDropout, normSpec } from '../layers.js'
import { inferenceMode, type Mode } from '../mode.js'
import { type ParamsOf, param } from '../params.js'
import { sinusoids } from '../sinusoids.js'
import {
  type Attending,
  type AttendingOptions,
  cachedAttending,
  lookOptions,
  packedAttending,
  packedLooks,
  startCache,
  type WordCache,
} from './attending.js'
import { evenHeadSize, headSizeOf, keyValuePart, packed, queryPart } from './attention.js'
import { type Decoder, type DecoderFacts, defineDecoder, type PackedCaptions } from './decoder.js'
import { imageMemory, sizesOf } from './image-memory.js'
import { type Recipe, recipes } from './recipes.js'
import { captionLoss, captionTokenLosses, embedWords, samePosition } from './words.js'

type TransformerConfig = ModelConfig['decoder']

/** Each kind of memory comes from a family of models, and the rest starts as it does there. */
const recipeOf = { projected: recipes.own, direct: recipes.torch, block: recipes.keras } as const

function layerSpec(c: TransformerConfig, recipe: Recipe) {
  const size = headSizeOf(c)
  return {
    self_attn: recipe.attention(c.dim, c.heads, size),
    multihead_attn: recipe.attention(c.dim, c.heads, size),
    linear1: recipe.linear(c.dim, c.feedForward, c.activation === 'swiglu' ? 2 : 1),
    linear2: recipe.linear(c.feedForward, c.dim),
    norm1: normSpec(c.norm, c.dim),
    norm2: normSpec(c.norm, c.dim),
    norm3: normSpec(c.norm, c.dim),
  }
}

function transformerSpec(
  c: TransformerConfig,
  { vocabulary }: DecoderFacts,
  recipe: Recipe,
  memory: object,
) {
  return {
    embedding: { weight: param([vocabulary, c.dim], recipe.embedding(c.dim), false) },
    ...(c.positions === 'learned'
      ? { positions: { weight: param([c.maxTokens, c.dim], recipe.positions, false) } }
      : {}),
    ...memory,
    layers: Array.from({ length: c.layers }, () => layerSpec(c, recipe)),
    ...(c.preNorm ? { norm: normSpec(c.norm, c.dim) } : {}),
    ...(c.tied
      ? { output: { bias: param([vocabulary], { kind: 'constant', value: 0 }) } }
      : { output: recipe.linear(c.dim, vocabulary) }),
  }
}

type TransformerParams = ParamsOf<ReturnType<typeof transformerSpec>>
type LayerParams = ParamsOf<ReturnType<typeof layerSpec>>

interface TransformerState {
  readonly words: WordCache
  readonly crossKeyValues: readonly Tensor[] // each [B S, 2 inner]
  readonly positionTable?: Tensor //            [T, D]
}

/** @throws ArgumentError for sizes that do not fit together */
export function transformerDecoder(c: TransformerConfig, facts: DecoderFacts): Decoder {
  const recipe = recipeOf[c.memory]
  const memoryLayer = imageMemory(c, facts, recipe)
  const specs = transformerSpec(c, facts, recipe, memoryLayer.specs)
  const size = headSizeOf(c)
  const { normEpsilon: epsilon } = recipe
  const attending: AttendingOptions = {
    heads: c.heads,
    rotarySize: c.positions === 'rotary' ? evenHeadSize(c) : undefined,
    dropout: c.attentionDropout,
  }

  const positionTable = (p: TransformerParams, like: Tensor): Tensor | undefined => {
    if (c.positions === 'rotary') return undefined
    return p.positions?.weight ?? sinusoids(c.maxTokens, c.dim, like)
  }

  const embedCaptions = (p: TransformerParams, text: PackedCaptions, mode: Mode): Tensor => {
    const table = positionTable(p, p.embedding.weight)
    const x = embedWords(p.embedding.weight, text.tokens, text.positions, table)
    return maybeDropout(x, c.dropout, mode)
  }

  /** Hidden states [N, D] of packed captions. */
  const hidden = (p: TransformerParams, memory: Tensor, text: PackedCaptions, mode: Mode) => {
    const m = memoryLayer.forward(p, memory)
    const attend = packedAttending(text, sizesOf(memory, facts), attending, mode)
    const keyValues = (layer: LayerParams) =>
      linear({ x: m, ...keyValuePart(layer.multihead_attn) })
    let x = embedCaptions(p, text, mode)
    for (const [i, layer] of p.layers.entries())
      x = decoderLayer(layer, x, i, attend, keyValues, mode)
    return maybeDropout(finalNorm(p, x), c.outputDropout, mode)
  }

  const decoderLayer = (
    p: LayerParams,
    x: Tensor,
    index: number,
    attend: Attending,
    keyValues: (p: LayerParams, index: number) => Tensor,
    mode: Mode,
  ): Tensor =>
    scope(() => {
      const look = (y: Tensor) =>
        attend.image(linear({ x: y, ...queryPart(p.multihead_attn) }), keyValues(p, index))
      let h = wordsBranch(p, x, index, attend, mode)
      h = branch(p.norm2, h, (y) => [p.multihead_attn.out_proj, look(y)], mode)
      return branch(p.norm3, h, (y) => [p.linear2, feedForward(p, y, mode)], mode)
    })

  const wordsBranch = (p: LayerParams, x: Tensor, index: number, attend: Attending, mode: Mode) => {
    const before = (y: Tensor) => attend.before(linear({ x: y, ...packed(p.self_attn) }), index)
    return branch(p.norm1, x, (y) => [p.self_attn.out_proj, before(y)], mode)
  }

  const feedForward = ({ linear1 }: LayerParams, x: Tensor, mode: Mode): Tensor => {
    const h =
      c.activation === 'swiglu'
        ? swiglu({ x: linear({ x, ...linear1 }) })
        : linear({ x, ...linear1 }, { activation: c.activation })
    return maybeDropout(h, c.feedForwardDropout ?? c.dropout, mode)
  }

  /** x + dropout(W f(norm(x))) with the norm before, or norm(x + dropout(W f(x))) with it after. */
  const branch = (
    norm: { weight: Tensor; bias?: Tensor },
    x: Tensor,
    inner: (h: Tensor) => readonly [{ weight: Tensor; bias: Tensor }, Tensor],
    mode: Mode,
  ): Tensor => {
    const [p, h] = inner(c.preNorm ? applyNorm(norm, x, epsilon) : x)
    const sum = linearResidual(p, h, x, c.dropout, mode)
    return c.preNorm ? sum : applyNorm(norm, sum, epsilon)
  }

  const finalNorm = (p: TransformerParams, x: Tensor) =>
    p.norm ? applyNorm(p.norm, x, epsilon) : x

  const head = (p: TransformerParams) => ({
    weight: 'weight' in p.output ? p.output.weight : p.embedding.weight,
    bias: p.output.bias,
  })

  return defineDecoder({
    specs,
    loss: (p: TransformerParams, memory, text, options, mode) =>
      scope(() => captionLoss(hidden(p, memory, text, mode), head(p), text, options)),
    tokenLosses: (p: TransformerParams, memory, text, mode) =>
      scope(() => captionTokenLosses(hidden(p, memory, text, mode), head(p), text)),

    /** Of the last layer's cross-attention, the mean over its heads. */
    attention: (p: TransformerParams, memory, text, mode) =>
      scope(() => {
        const sizes = sizesOf(memory, facts)
        const m = memoryLayer.forward(p, memory)
        const attend = packedAttending(text, sizes, attending, mode)
        const keyValues = (layer: LayerParams) =>
          linear({ x: m, ...keyValuePart(layer.multihead_attn) })
        const last = p.layers.length - 1
        const layer = p.layers[last] as LayerParams
        let x = embedCaptions(p, text, mode)
        for (const [i, before] of p.layers.slice(0, last).entries())
          x = decoderLayer(before, x, i, attend, keyValues, mode)
        const y = wordsBranch(layer, x, last, attend, mode)
        const query = c.preNorm ? applyNorm(layer.norm2, y, epsilon) : y
        const q = linear({ x: query, ...queryPart(layer.multihead_attn) })
        return attentionWeights(
          { q, kv: keyValues(layer), ...packedLooks(text, sizes) },
          { heads: c.heads, ...lookOptions(text, sizes) },
        )
      }),

    start: (p: TransformerParams, memory, rowsPerImage, maxTokens) =>
      scope((): TransformerState => {
        const m = memoryLayer.forward(p, memory)
        const sizes = sizesOf(memory, facts)
        const table = positionTable(p, m)
        return {
          words: startCache(c.layers, c.heads * size, sizes, rowsPerImage, maxTokens, m),
          crossKeyValues: p.layers.map((layer) =>
            linear({ x: m, ...keyValuePart(layer.multihead_attn) }),
          ),
          // A view, so that the state owns a table of its own or a share of the parameter.
          ...(table ? { positionTable: view(table, [c.maxTokens, c.dim]) } : {}),
        }
      }),

    step: (p: TransformerParams, state: TransformerState, tokens, position, ancestors) =>
      scope(() => {
        const mode = inferenceMode()
        const positions = samePosition(tokens.size, position, tokens)
        const attend = cachedAttending(state.words, positions, position, ancestors, attending)
        const keyValues = (_: LayerParams, i: number) => state.crossKeyValues[i] as Tensor
        let x = embedWords(p.embedding.weight, tokens, positions, state.positionTable)
        for (const [i, layer] of p.layers.entries())
          x = decoderLayer(layer, x, i, attend, keyValues, mode)
        return linear({ x: finalNorm(p, x), ...head(p) }, { outDtype: 'float32' })
      }),
  })
}
