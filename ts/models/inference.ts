/** Running a model on pixels: weights on a device, image memory of a batch, captions of it. */
import { type CaptionOptions, searchOptions } from '../decoding/options.js'
import { type FoundCaption, searchCaptions } from '../decoding/search.js'
import type { Device } from '../native.js'
import { normalizeImage } from '../ops/normalize-image.js'
import { scope, type Tensor, tensor, tensorsIn } from '../tensor.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { type FoldCache, inferenceMode } from './mode.js'
import type { CaptionModel, ModelParams } from './model.js'
import type { GenerationConfig, ModelFolder } from './model-folder.js'
import { materialize } from './params.js'

export interface CaptionText {
  readonly text: string
  /** Log-probability divided by length^lengthPenalty, nats. */
  readonly score: number
  readonly tokens: readonly number[]
}

/** Puts a model folder's weights on a device. Release them with `releaseParams`. */
export function loadParams(folder: ModelFolder, device: Device): ModelParams {
  return scope(
    () =>
      materialize(folder.model.specs, (name, spec) =>
        tensor(folder.weights.float32(name), spec.shape, device),
      ) as ModelParams,
  )
}

export function releaseParams(params: ModelParams): void {
  for (const t of tensorsIn(params)) t.release()
}

/** Normalised pixels [B, size, size, 3] from RGB bytes; boxes int32 [B, 5] crop and mirror (see the kernel). */
export function normalizedPixels(
  model: CaptionModel,
  bytes: Uint8Array,
  device: Device,
  boxes?: Int32Array,
): Tensor {
  const { size, mean, std } = model.config.image
  const images = bytes.length / (size * size * 3)
  return scope(() =>
    normalizeImage(
      {
        x: tensor(bytes, [images, size, size, 3], device),
        mean: tensor(mean, [3], device),
        std: tensor(std, [3], device),
        crop: boxes && tensor(boxes, [images, 5], device),
      },
      boxes ? { size: [size, size] } : {},
    ),
  )
}

/** Image memory [B S, C] of RGB bytes [B, size, size, 3], in inference; boxes as normalizedPixels takes them. */
export function encodePixels(
  model: CaptionModel,
  params: ModelParams,
  bytes: Uint8Array,
  device: Device,
  folds: FoldCache,
  boxes?: Int32Array,
): Tensor {
  return scope(() =>
    model.encode(params, normalizedPixels(model, bytes, device, boxes), inferenceMode(folds)),
  )
}

/**
 * Captions of each image of a memory, best first. The memory stays the caller's.
 * @param memory [B S, C]
 * @throws ArgumentError for options out of range
 */
export async function captionMemory(
  model: CaptionModel,
  params: ModelParams,
  tokenizer: Tokenizer,
  memory: Tensor,
  options: CaptionOptions,
  defaults: GenerationConfig,
): Promise<CaptionText[][]> {
  const images = (memory.shape[0] ?? 0) / model.cells
  const search = searchOptions(options, defaults, model.config.decoder.maxTokens, tokenizer)
  const { decoder } = model
  const state = scope(() => decoder.start(params.decoder, memory, search.beams, search.maxTokens))
  try {
    const found = await searchCaptions(
      (tokens, position, ancestors) =>
        decoder.step(params.decoder, state, tokens, position, ancestors),
      { ...search, images, device: memory.device },
    )
    return found.map((captions) => captions.map((caption) => toText(caption, tokenizer)))
  } finally {
    for (const t of tensorsIn(state)) t.release()
  }
}

function toText({ tokens, score }: FoundCaption, tokenizer: Tokenizer): CaptionText {
  return { text: tokenizer.decode(tokens), score, tokens }
}
