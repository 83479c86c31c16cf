/** Running a model on pixels: weights on a device, image memory of a batch. Captions of it are caption-loop.ts. */
import type { Device } from '../native.js'
import type { FloatDtype } from '../ops/define-op.js'
import { normalizeImage } from '../ops/normalize-image.js'
import type { HostTensor } from '../step-cache.js'
import { scope, type Tensor, tensor, tensorsIn } from '../tensor.js'
import { type FoldCache, inferenceMode } from './mode.js'
import type { CaptionModel, ModelParams } from './model.js'
import type { ModelFolder } from './model-folder.js'
import { materialize } from './params.js'
import { computeCopy, computeDtype, dtypeOf, type Precision } from './precision.js'

/** What the device gets of a batch of images. */
export type ImageInputs = {
  /** Pixels uint8 [B, size, size, 3], or features [B S, C]. */
  readonly images?: HostTensor | undefined
  /** int32 [B, 5]: crops and mirrors, when training augments. */
  readonly boxes?: HostTensor | undefined
}

/** The host's part of a batch of images. */
export interface LoadedImages {
  readonly count: number
  readonly inputs: ImageInputs
}

/**
 * Puts a model folder's weights on a device. Release them with `releaseParams`.
 * @throws ArgumentError for a precision that the device does not have
 */
export function loadParams(
  folder: ModelFolder,
  device: Device,
  precision: Precision = 'auto',
): ModelParams {
  const dtype = computeDtype(precision, device)
  return scope(
    () =>
      materialize(folder.model.specs, (name, spec) => {
        const values = folder.weights.get(name) ?? []
        return computeCopy(spec, tensor(values, spec.shape, device), dtype)
      }) as ModelParams,
  )
}

export function releaseParams(params: ModelParams): void {
  for (const t of tensorsIn(params)) t.release()
}

/**
 * Normalised pixels [B, size, size, 3, or 4 on a GPU].
 * @param pixels uint8 [B, size, size, 3] RGB
 * @param boxes  int32 [B, 5]: crop and mirror, as the kernel takes them
 */
export function normalizedPixels(
  model: CaptionModel,
  pixels: Tensor,
  dtype: FloatDtype,
  boxes?: Tensor,
): Tensor {
  const { size, mean, std } = model.config.image
  const { device } = pixels
  // A GPU reads a pixel of four channels at once; the fourth is zero and meets no weight.
  const channels = device.name === 'cuda' ? 4 : 3
  return scope(() =>
    normalizeImage(
      {
        x: pixels,
        mean: tensor(mean, [3], device),
        std: tensor(std, [3], device),
        crop: boxes,
      },
      { channels, dtype, ...(boxes ? { size: [size, size] as const } : {}) },
    ),
  )
}

/** RGB bytes of images as an input of encodePixels. */
export function pixelInput(model: CaptionModel, data: Uint8Array): HostTensor {
  const { size } = model.config.image
  return { data, shape: [data.length / (size * size * 3), size, size, 3] }
}

/** Image memory [B S, C] of pixels uint8 [B, size, size, 3], in inference; boxes as normalizedPixels takes them. */
export function encodePixels(
  model: CaptionModel,
  params: ModelParams,
  pixels: Tensor,
  folds: FoldCache,
  boxes?: Tensor,
): Tensor {
  return scope(() =>
    model.encode(
      params,
      normalizedPixels(model, pixels, dtypeOf(params), boxes),
      inferenceMode(folds),
    ),
  )
}
