/**
 * The caption decoder of EIR 0.23 (github.com/arnor-sigurdsson/EIR): causal blocks over the words, one fusion with the
 * image, and as many blocks again (eir-parts.ts). Its norms, positions and activations are fixed; a model without an
 * image has no fusion.
 */
import { attentionWeights } from '../../ops/attention-weights.js'
import { linear } from '../../ops/linear.js'
import { empty, scope, type Tensor, view } from '../../tensor.js'
import { maybeDropout, normSpec } from '../layers.js'
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
import { evenHeadSize } from './attention.js'
import { type Decoder, type DecoderFacts, defineDecoder, type PackedCaptions } from './decoder.js'
import {
  block,
  blockSpec,
  type EirConfig,
  fuse,
  fusionSpec,
  type KeyValues,
  keyValues,
  lookQueries,
  normed,
  type Pass,
} from './eir-parts.js'
import { sizesOf } from './image-memory.js'
import { recipes } from './recipes.js'
import { captionLoss, captionTokenLosses, embedWords, samePosition } from './words.js'

function eirSpec(c: EirConfig, { channels, vocabulary, image }: DecoderFacts, size: number) {
  const stack = () => Array.from({ length: c.layers }, () => blockSpec(c, size))
  return {
    embedding: { weight: param([vocabulary, c.dim], { kind: 'uniform', bound: 0.1 }, false) },
    before: stack(),
    ...(image === false ? {} : { fusion: fusionSpec(c, channels, size) }),
    after: stack(),
    norm: normSpec('rms', c.dim),
    output: recipes.torch.linear(c.dim, vocabulary),
  }
}

type EirParams = ParamsOf<ReturnType<typeof eirSpec>>

interface EirState {
  readonly words: WordCache
  readonly keyValues?: KeyValues
  readonly positionTable: Tensor // [T, D]
}

/** @throws ArgumentError for heads that do not divide the width, or of odd size */
export function eirDecoder(c: EirConfig, facts: DecoderFacts): Decoder {
  const size = evenHeadSize(c)
  const specs = eirSpec(c, facts, size)
  const attending: AttendingOptions = {
    heads: c.heads,
    rotarySize: size,
    dropout: c.attentionDropout,
  }

  const passOf = (attend: Attending, mode: Mode): Pass => ({ attend, dropout: c.dropout, mode })

  /** All between the embedding and the classifier. */
  const blocks = (p: EirParams, words: Tensor, kv: KeyValues | undefined, pass: Pass): Tensor => {
    let x = words
    let index = 0
    for (const one of p.before) x = block(one, x, index++, pass)
    if (p.fusion && kv) x = fuse(p.fusion, x, kv, index++, pass)
    for (const one of p.after) x = block(one, x, index++, pass)
    return normed(p.norm, x)
  }

  const embedCaptions = (p: EirParams, text: PackedCaptions, mode: Mode): Tensor => {
    const table = sinusoids(c.maxTokens, c.dim, p.embedding.weight)
    const x = embedWords(p.embedding.weight, text.tokens, text.positions, table)
    return maybeDropout(x, c.dropout, mode)
  }

  /** Hidden states [N, D] of packed captions. */
  const hidden = (p: EirParams, memory: Tensor, text: PackedCaptions, mode: Mode): Tensor => {
    const attend = packedAttending(text, sizesOf(memory, facts), attending, mode)
    const kv = p.fusion && keyValues(p.fusion, memory)
    const x = blocks(p, embedCaptions(p, text, mode), kv, passOf(attend, mode))
    return maybeDropout(x, c.outputDropout, mode)
  }

  return defineDecoder({
    specs,
    loss: (p: EirParams, memory, text, options, mode) =>
      scope(() => captionLoss(hidden(p, memory, text, mode), p.output, text, options)),
    tokenLosses: (p: EirParams, memory, text, mode) =>
      scope(() => captionTokenLosses(hidden(p, memory, text, mode), p.output, text)),

    /** Of the fusion's main branch, the mean over its heads; without an image all on its one cell. */
    attention: (p: EirParams, memory, text, mode) =>
      scope(() => {
        if (!p.fusion) {
          const all = empty([text.tokens.size, 1], 'float32', memory.device)
          memory.device.kernels.fill(all, 1)
          return all
        }
        const sizes = sizesOf(memory, facts)
        const attend = packedAttending(text, sizes, attending, mode)
        let x = embedCaptions(p, text, mode)
        for (const [i, one] of p.before.entries()) x = block(one, x, i, passOf(attend, mode))
        const q = lookQueries(p.fusion, x)
        return attentionWeights(
          { q, kv: keyValues(p.fusion, memory).look, ...packedLooks(text, sizes) },
          { heads: c.heads, ...lookOptions(text, sizes) },
        )
      }),

    start: (p: EirParams, memory, rowsPerImage, maxTokens) =>
      scope((): EirState => {
        const layers = p.before.length + (p.fusion ? 1 : 0) + p.after.length
        const sizes = sizesOf(memory, facts)
        const table = sinusoids(c.maxTokens, c.dim, memory)
        return {
          words: startCache(layers, c.heads * size, sizes, rowsPerImage, maxTokens, memory),
          ...(p.fusion ? { keyValues: keyValues(p.fusion, memory) } : {}),
          positionTable: view(table, [c.maxTokens, c.dim]),
        }
      }),

    step: (p: EirParams, state: EirState, tokens, position, ancestors) =>
      scope(() => {
        const positions = samePosition(tokens.size, position, tokens)
        const attend = cachedAttending(state.words, positions, position, ancestors, attending)
        const words = embedWords(p.embedding.weight, tokens, positions, state.positionTable)
        const x = blocks(p, words, state.keyValues, passOf(attend, inferenceMode()))
        return linear({ x, ...p.output }, { outDtype: 'float32' })
      }),
  })
}
