/**
 * Image bytes to caption: a model loaded once, captioning many. Decoding of images is data/image.ts, the model
 * models/, choosing words decoding/.
 */

import { decodeImage, type ImageInput } from './data/image.js'
import { loadImages } from './data/image-loader.js'
import type { CaptionOptions } from './decoding/options.js'
import { argumentError, DisposedError, type ImageError } from './errors.js'
import { type CaptionLoop, createCaptionLoop } from './models/caption-loop.js'
import {
  encodePixels,
  type ImageInputs,
  loadParams,
  pixelInput,
  releaseParams,
} from './models/inference.js'
import { dropFolds, type FoldCache } from './models/mode.js'
import type { ModelParams } from './models/model.js'
import { type ModelFolder, readModelFolder } from './models/model-folder.js'
import { type Device, type DeviceName, openDevice } from './native.js'
import type { DeviceInputs } from './step-cache.js'

export interface Caption {
  readonly text: string
  /** Log-probability divided by length^lengthPenalty, nats; higher is more probable. */
  readonly score: number
  /** Token ids, begin and end left out. */
  readonly tokens: readonly number[]
  /** The `numCaptions` best, when more than one was asked for; the first is this one. */
  readonly captions?: readonly { readonly text: string; readonly score: number }[]
}

export interface CaptionAllOptions extends CaptionOptions {
  /** Images captioned together; 32 when left out. */
  readonly batchSize?: number
  readonly signal?: AbortSignal
}

/** A caption, or why this image has none. */
export type CaptionResult<I> =
  | ({ readonly image: I; readonly error?: undefined } & Caption)
  | { readonly image: I; readonly error: ImageError; readonly text?: undefined }

/** A loaded model. Free it with `close()` or `using`. */
export class Captioner {
  readonly #folder: ModelFolder
  readonly #device: Device
  readonly #folds: FoldCache = new Map()
  readonly #params: ModelParams
  #loop: CaptionLoop | undefined

  /** @internal use loadCaptioner */
  constructor(folder: ModelFolder, device: Device) {
    const { model } = folder
    const params = loadParams(folder, device)
    const memory = ({ images }: DeviceInputs<ImageInputs>, count: number) =>
      images ? encodePixels(model, params, images, this.#folds) : model.noImage(count, params)
    this.#folder = folder
    this.#device = device
    this.#params = params
    this.#loop = createCaptionLoop({ ...folder, params, device, memory })
  }

  /** Name of the device that captions: 'cpu' or 'cuda'. */
  get device(): string {
    return this.#device.name
  }

  /**
   * The caption of one image.
   * @throws ImageError when the image cannot be decoded; ArgumentError for options out of range
   */
  async caption(image: ImageInput, options: CaptionOptions = {}): Promise<Caption> {
    this.#open()
    const pixels = await decodeImage(image, this.#folder.model.config.image)
    const [caption] = await this.#captionPixels([pixels], options, [0])
    return caption as Caption
  }

  /**
   * Captions of many images, in their order, as they are ready. An image that cannot be decoded carries its error
   * and the others go on. Images are decoded while the batch before is captioned.
   * @throws ArgumentError for options out of range; the signal's reason when it is aborted
   */
  async *captionAll<I extends ImageInput>(
    images: Iterable<I> | AsyncIterable<I>,
    options: CaptionAllOptions = {},
  ): AsyncGenerator<CaptionResult<I>> {
    const { batchSize = 32, signal } = options
    if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > 4096)
      throw argumentError('captionAll', 'batchSize', 'an integer from 1 to 4096', batchSize)
    this.#open()
    const loaded = loadImages(images, (image) => image, {
      ...this.#folder.model.config.image,
      ahead: 2 * batchSize,
      ...(signal ? { signal } : {}),
    })
    let batch: Placed<I>[] = []
    let place = 0
    for await (const entry of loaded) {
      batch.push({ ...entry, place: place++ })
      if (batch.length < batchSize) continue
      yield* await this.#captionBatch(batch, options)
      batch = []
      signal?.throwIfAborted()
    }
    yield* await this.#captionBatch(batch, options)
  }

  /** Frees the weights. */
  close(): void {
    if (!this.#loop) return
    this.#loop.dispose()
    this.#loop = undefined
    releaseParams(this.#params)
    dropFolds(this.#folds)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  async #captionBatch<I>(
    batch: readonly Placed<I>[],
    options: CaptionOptions,
  ): Promise<CaptionResult<I>[]> {
    const pixels = batch.flatMap((entry) => (entry.pixels ? [entry.pixels] : []))
    const places = batch.flatMap((entry) => (entry.pixels ? [entry.place] : []))
    const captions = pixels.length > 0 ? await this.#captionPixels(pixels, options, places) : []
    let next = 0
    return batch.map(({ item, error }) =>
      error ? { image: item, error } : { image: item, ...(captions[next++] as Caption) },
    )
  }

  async #captionPixels(
    pixels: readonly Uint8Array[],
    options: CaptionOptions,
    places: readonly number[],
  ): Promise<Caption[]> {
    const loop = this.#open()
    const { model } = this.#folder
    const inputs = model.image ? { images: pixelInput(model, Buffer.concat(pixels)) } : {}
    const found = await loop.captions({ count: pixels.length, inputs }, options, places)
    return found.map((captions) => {
      const best = captions[0]
      if (!best) throw new Error('the search gave no caption')
      const more = captions.map(({ text, score }) => ({ text, score }))
      return captions.length > 1 ? { ...best, captions: more } : best
    })
  }

  #open(): CaptionLoop {
    if (this.#loop) return this.#loop
    throw new DisposedError(
      'caption: this captioner was closed. Load it again with loadCaptioner()',
    )
  }
}

/** A loaded image and which one of the call it is. */
interface Placed<I> {
  readonly item: I
  readonly place: number
  readonly pixels?: Uint8Array
  readonly error?: ImageError
}

/**
 * Loads a model folder once, to caption many images.
 * @throws CheckpointError when the folder is damaged; DeviceError when the device is not there
 */
export async function loadCaptioner(
  path: string,
  options: { readonly device?: DeviceName } = {},
): Promise<Captioner> {
  const folder = await readModelFolder(path)
  return new Captioner(folder, openDevice(options.device))
}

/**
 * The caption of one image with the model of a folder; loads the model each time, so use loadCaptioner for many.
 * @throws ImageError, CheckpointError, ArgumentError, DeviceError
 */
export async function caption(
  image: ImageInput,
  options: CaptionOptions & { readonly model: string; readonly device?: DeviceName },
): Promise<Caption> {
  using captioner = await loadCaptioner(
    options.model,
    options.device ? { device: options.device } : {},
  )
  return await captioner.caption(image, options)
}
