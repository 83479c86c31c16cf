/**
 * A captioning model of its config: an encoder, a decoder, and what they learn. Functions of (params, tensors);
 * the memory for params belongs to whoever trains (train/) or captions (captioner.ts).
 */
import { argumentError, internalError } from '../errors.js'
import { reshape } from '../ops/reshape.js'
import { scope, type Tensor, zeros } from '../tensor.js'
import type { ModelConfig } from './config.js'
import {
  type TransformerParams,
  transformerDecoder,
  transformerSpec,
} from './decoders/transformer.js'
import type { Encoder } from './encoders/encoder.js'
import { mobilenetV2 } from './encoders/mobilenet.js'
import { resnet18 } from './encoders/resnet.js'
import { tiny } from './encoders/tiny.js'
import type { Mode } from './mode.js'
import { namedSpecs, type ParamSpec } from './params.js'
import { dtypeOf } from './precision.js'

export interface ModelParams {
  readonly encoder: unknown
  readonly decoder: TransformerParams
}

/** Builds the encoder that a config names. */
export function buildEncoder(config: ModelConfig['encoder']): Encoder {
  switch (config.name) {
    case 'tiny':
      return tiny()
    case 'mobilenet_v2':
      return mobilenetV2(config.padding)
    case 'resnet18':
      return resnet18()
  }
}

/**
 * @param vocabulary number of token ids
 * @param image false for the text-only baseline: no encoder, the memory is one cell of zeros
 * @param encoder another than the one that the config names
 * @throws ArgumentError when the image is smaller than one cell of the encoder's map
 */
export function buildModel(
  config: ModelConfig,
  vocabulary: number,
  image = true,
  encoder = buildEncoder(config.encoder),
) {
  const side = Math.ceil(config.image.size / encoder.reduction)
  if (config.image.size < encoder.reduction)
    throw argumentError(
      'model',
      'image.size',
      `at least ${encoder.reduction} for the encoder ${encoder.name}`,
      config.image.size,
    )
  const cells = image ? side * side : 1
  const decoder = transformerDecoder(config.decoder)
  const specs = {
    encoder: (image ? encoder.specs : {}) as never,
    decoder: transformerSpec(config.decoder, encoder.channels, cells, vocabulary),
  }
  return {
    config,
    vocabulary,
    image,
    encoder,
    decoder,
    specs,
    /** Positions S of the image memory. */
    cells,
    /** Image memory [B S, C] of normalised pixels [B, H, W, C >= 3]. */
    encode: (params: ModelParams, pixels: Tensor, mode: Mode): Tensor =>
      scope(() => {
        const map = encoder.forward(params.encoder as never, pixels, mode)
        const [images = 0, height = 0, width = 0, channels = 0] = map.shape
        if (height * width !== cells)
          throw internalError(
            `encoder ${encoder.name}: ${height * width} cells instead of ${cells}`,
          )
        return reshape({ x: map }, { shape: [images * cells, channels] })
      }),
    /** The memory of the text-only baseline. */
    noImage: (images: number, params: ModelParams): Tensor =>
      zeros([images, encoder.channels], dtypeOf(params), params.decoder.embedding.weight.device),
  }
}

export type CaptionModel = ReturnType<typeof buildModel>

/** Every spec of a model as in its file: `encoder.*`, `decoder.*`. */
export function modelSpecs(model: CaptionModel): [name: string, spec: ParamSpec][] {
  return [...namedSpecs(model.specs)]
}

/** How many of the encoder's stages are frozen: all, none, or a number of them from the image on. */
export function frozenStages(model: CaptionModel, freeze: boolean | number): number {
  const { stages } = model.encoder
  if (freeze === true || !model.image) return stages.length
  if (freeze === false) return 0
  if (freeze > stages.length)
    throw argumentError(
      'config',
      'freezeEncoder',
      `true, false or an integer from 0 to ${stages.length} for ${model.encoder.name}`,
      freeze,
    )
  return freeze
}

/** Whether a parameter of the model is trained when the encoder's first `frozen` stages are not. */
export function isTrained(
  model: CaptionModel,
  name: string,
  spec: ParamSpec,
  frozen: number,
): boolean {
  if (spec.role === 'statistic') return false
  if (!name.startsWith('encoder.')) return true
  const key = name.slice('encoder.'.length)
  return !model.encoder.stages
    .slice(0, frozen)
    .some((stage) => stage.some((p) => key.startsWith(p)))
}
