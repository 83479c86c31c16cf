/**
 * A captioning model of its config: an encoder, a decoder, and what they learn. Functions of (params, tensors);
 * the memory for params belongs to whoever trains (train/) or captions (captioner.ts).
 */
import { argumentError, internalError } from '../errors.js'
import { reshape } from '../ops/reshape.js'
import { scope, type Tensor, zeros } from '../tensor.js'
import type { ModelConfig } from './config.js'
import { buildDecoder } from './decoders/build.js'
import type { Decoder, DecoderParams } from './decoders/decoder.js'
import { resampledDecoder } from './decoders/resampled.js'
import { buildEncoder } from './encoders/build.js'
import type { Encoder } from './encoders/encoder.js'
import type { Mode } from './mode.js'
import { namedSpecs, type ParamSpec } from './params.js'
import { dtypeOf } from './precision.js'

export interface ModelParams {
  readonly encoder: unknown
  readonly decoder: DecoderParams
}

/** Cells of an image memory: `extra` ones, then those of a map, side x side, row by row. */
export interface MemoryGrid {
  readonly side: number
  readonly extra: number
}

/** The decoder, and the grid that it looks at. @param memory of the encoder; absent: one cell of zeros */
function decoderOn(
  config: ModelConfig['decoder'],
  { name, channels }: Encoder,
  memory: MemoryGrid | undefined,
  vocabulary: number,
): { readonly decoder: Decoder; readonly grid: MemoryGrid } {
  const given = memory ?? { side: 1, extra: 0 }
  const side = memory && config.memorySide ? config.memorySide : given.side
  const grid = { side, extra: given.extra }
  const cells = grid.extra + side ** 2
  const decoder = buildDecoder(config, { channels, cells, vocabulary, image: memory !== undefined })
  if (side === given.side) return { decoder, grid }
  if (grid.extra > 0)
    throw argumentError(
      'model',
      'decoder.memorySide',
      `left out for the encoder ${name}, whose memory is more than a map`,
      side,
    )
  return { decoder: resampledDecoder(decoder, given.side, side), grid }
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
  encoder = buildEncoder(config.encoder, config.image.size),
) {
  const side = Math.ceil(config.image.size / encoder.reduction)
  if (config.image.size < encoder.reduction)
    throw argumentError(
      'model',
      'image.size',
      `at least ${encoder.reduction} for the encoder ${encoder.name}`,
      config.image.size,
    )
  const extra = encoder.extraCells ?? 0
  const cells = image ? extra + side ** 2 : 1
  const { decoder, grid } = decoderOn(
    config.decoder,
    encoder,
    image ? { side, extra } : undefined,
    vocabulary,
  )
  const specs = {
    encoder: (image ? encoder.specs : {}) as never,
    decoder: decoder.specs as never,
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
    /** What the decoder looks at, and its attention is of. */
    grid,
    /** Image memory [B S, C] of normalised pixels [B, H, W, C >= 3]. */
    encode: (params: ModelParams, pixels: Tensor, mode: Mode): Tensor =>
      scope(() => {
        const map = encoder.forward(params.encoder as never, pixels, mode)
        const [images = 0] = pixels.shape
        const { channels } = encoder
        if (map.size !== images * cells * channels)
          throw internalError(`encoder ${encoder.name}: ${map.shape} instead of ${cells} cells`)
        return map.shape.length === 2
          ? map
          : reshape({ x: map }, { shape: [images * cells, channels] })
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
