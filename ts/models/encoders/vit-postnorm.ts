/**
 * A vision transformer with norms after each sum and none at the end, fixed positions, and PyTorch's
 * nn.TransformerEncoderLayer for its blocks; names as in github.com/deependujha/Image-Captioning, which trained it from
 * nothing. The memory is every token, the class token first.
 */
import type { Tensor } from '../../tensor.js'
import { linearSpec, maybeDropout, normSpec } from '../layers.js'
import { type ParamsOf, param } from '../params.js'
import { sinusoids } from '../sinusoids.js'
import { defineEncoder, type Encoder, stageTrains } from './encoder.js'
import {
  applyBlock,
  attentionSpec,
  type Block,
  patchSize,
  patchSpec,
  patchTokens,
  tokenOffsets,
  tokensOf,
  type VisionTransformerShape,
} from './vit-blocks.js'

const published: VisionTransformerShape = { dim: 768, layers: 6, heads: 8, feedForward: 2048 }

const name = 'vit_postnorm_16'

function layerSpec({ dim, feedForward }: VisionTransformerShape) {
  return {
    self_attn: attentionSpec(dim),
    linear1: linearSpec(dim, feedForward),
    linear2: linearSpec(feedForward, dim),
    norm1: normSpec('layer', dim),
    norm2: normSpec('layer', dim),
  }
}

function blockOf({ self_attn: attention, ...others }: ParamsOf<ReturnType<typeof layerSpec>>) {
  return { attention, ...others } as Block
}

/**
 * 224 x 224 gives 197 tokens of 768 channels; 33,675,264 parameters.
 * @param size of images, pixels
 * @param shape other than the published one the parameters are others too
 * @throws ArgumentError when patches do not fill the image
 */
export function postNormVisionTransformer(
  size: number,
  dropout: number,
  shape = published,
): Encoder {
  const { dim, heads, layers } = shape
  const tokens = tokensOf(name, size)
  const specs = {
    embeddings_block: {
      patcher: [patchSpec(dim)] as const,
      special_classification_token: param([1, 1, dim], { kind: 'normal', std: 1 }, false),
    },
    encoder_blocks: { layers: Array.from({ length: layers }, () => layerSpec(shape)) },
  }
  return defineEncoder({
    name,
    specs,
    channels: dim,
    classifierParameters: 0,
    stages: [
      ['embeddings_block.'],
      ...specs.encoder_blocks.layers.map((_, i) => [`encoder_blocks.layers.${i}.`]),
    ],
    reduction: patchSize,
    extraCells: 1,
    forward: (p, x, mode) => {
      const dropoutOf = (stage: number) => (stageTrains(mode, stage) ? dropout : 0)
      const { patcher, special_classification_token: first } = p.embeddings_block
      const offsets = tokenOffsets(x.shape[0] ?? 0, tokens, x)
      let h: Tensor = patchTokens(patcher[0], first, sinusoids(tokens, dim, x), x, mode)
      h = maybeDropout(h, dropoutOf(0), mode)
      for (const [i, block] of p.encoder_blocks.layers.entries()) {
        const [own, epsilon] = [dropoutOf(i + 1), 1e-5]
        const options = { heads, preNorm: false, epsilon, dropout: own, attentionDropout: own }
        h = applyBlock(blockOf(block), h, offsets, tokens, options, mode)
      }
      return h
    },
  })
}
