/**
 * Vision transformers with norms before each branch, without a classifier (Dosovitskiy et al. 2020, arXiv:2010.11929);
 * names as in torchvision's vit_b_16. The memory is every token, the class token first.
 */
import type { Tensor } from '../../tensor.js'
import { applyNorm, linearSpec, maybeDropout, normSpec } from '../layers.js'
import { type ParamsOf, param } from '../params.js'
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

const published = {
  vit_b_16: { dim: 768, layers: 12, heads: 12, feedForward: 3072 },
  vit_s_16: { dim: 384, layers: 12, heads: 6, feedForward: 1536 },
} as const

export type VisionTransformerName = keyof typeof published

const epsilon = 1e-6

function layerSpec({ dim, feedForward }: VisionTransformerShape) {
  return {
    ln_1: normSpec('layer', dim),
    self_attention: attentionSpec(dim),
    ln_2: normSpec('layer', dim),
    // 1, 2 and 4 are the activation and dropouts.
    mlp: { 0: linearSpec(dim, feedForward), 3: linearSpec(feedForward, dim) },
  }
}

function blockOf(p: ParamsOf<ReturnType<typeof layerSpec>>): Block {
  return {
    norm1: p.ln_1 as Block['norm1'],
    attention: p.self_attention,
    norm2: p.ln_2 as Block['norm2'],
    linear1: p.mlp[0],
    linear2: p.mlp[3],
  }
}

/**
 * 224 x 224 gives 197 tokens; vit_b_16 has 85,798,656 parameters, vit_s_16 21,665,664.
 * @param size of images, pixels: there is a position for each patch
 * @param shape other than the published one the model is not torchvision's
 * @throws ArgumentError when patches do not fill the image
 */
export function visionTransformer(
  name: VisionTransformerName,
  size: number,
  dropout: number,
  shape: VisionTransformerShape = published[name],
): Encoder {
  const { dim, heads, layers } = shape
  const tokens = tokensOf(name, size)
  const layerNames = Array.from({ length: layers }, (_, i) => `encoder_layer_${i}`)
  const specs = {
    class_token: param([1, 1, dim], { kind: 'constant', value: 0 }, false),
    conv_proj: patchSpec(dim),
    encoder: {
      pos_embedding: param([1, tokens, dim], { kind: 'normal', std: 0.02 }, false),
      layers: Object.fromEntries(layerNames.map((layer) => [layer, layerSpec(shape)])),
      ln: normSpec('layer', dim),
    },
  }
  return defineEncoder({
    name,
    specs,
    channels: dim,
    classifierParameters: name === 'vit_b_16' ? 1000 * (dim + 1) : 0,
    stages: [
      ['class_token', 'conv_proj.', 'encoder.pos_embedding'],
      ...layerNames.map((layer, i) => [
        `encoder.layers.${layer}.`,
        ...(i === layers - 1 ? ['encoder.ln.'] : []),
      ]),
    ],
    reduction: patchSize,
    extraCells: 1,
    forward: (p, x, mode) => {
      const dropoutOf = (stage: number) => (stageTrains(mode, stage) ? dropout : 0)
      const { pos_embedding: positions, layers: blocks, ln } = p.encoder
      const offsets = tokenOffsets(x.shape[0] ?? 0, tokens, x)
      let h: Tensor = patchTokens(p.conv_proj, p.class_token, positions, x, mode)
      h = maybeDropout(h, dropoutOf(0), mode)
      for (const [i, block] of Object.values(blocks).entries()) {
        const options = { heads, preNorm: true, epsilon, dropout: dropoutOf(i + 1) }
        const all = { ...options, attentionDropout: 0 }
        h = applyBlock(blockOf(block), h, offsets, tokens, all, mode)
      }
      return applyNorm(ln, h, epsilon)
    },
  })
}
