/**
 * Image bytes to caption: a model loaded once, captioning many. Decoding of images is data/image.ts, the model
 * models/, choosing words decoding/.
 */

import { decodeImage, type ImageInput } from './data/image.js'
import { loadImages } from './data/image-loader.js'
import type { CaptionOptions } from './decoding/options.js'
import { argumentError, DisposedError, type ImageError, internalError } from './errors.js'
import { type CaptionLoop, type CaptionText, createCaptionLoop } from './models/caption-loop.js'
import {
  encodePixels,
  type ImageInputs,
  type LoadedImages,
  loadParams,
  pixelInput,
  releaseParams,
} from './models/inference.js'
import { dropFolds, type FoldCache } from './models/mode.js'
import type { ModelParams } from './models/model.js'
import { type ModelFolder, readModelFolder } from './models/model-folder.js'
import type { CaptionAttention } from './models/word-attention.js'
import { type Device, type DeviceName, openDevice } from './native.js'
import type { DeviceInputs } from './step-cache.js'

export interface Caption {
  readonly text: string
  /** Log-probability divided by length^lengthPenalty, nats; higher is more probable. */
  readonly score: number
  /** Token ids, begin and end left out. */
  readonly tokens: readonly number[]
  /** Where in the image the model looked for each token, when that was asked for. */
  readonly attention?: CaptionAttention
  /** The `numCaptions` best, when more than one was asked for; the first is this one. */
  readonly captions?: readonly {
    readonly text: string
    readonly score: number
    readonly attention?: CaptionAttention
  }[]
}

/** A caption on its way, and at last the whole one. */
export type CaptionProgress =
  | { readonly done: false; readonly text: string; readonly tokens: readonly number[] }
  | ({ readonly done: true } & Caption)

export interface CaptionStreamOptions extends CaptionOptions {
  readonly signal?: AbortSignal
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
  readonly #folder: Omit<ModelFolder, 'weights'>
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
    // The device has the weights now.
    const { weights: _, ...rest } = folder
    this.#folder = rest
    this.#device = device
    this.#params = params
    this.#loop = createCaptionLoop({ ...rest, params, device, memory })
  }

  /** Name of the device that captions: 'cpu' or 'cuda'. */
  get device(): Device['name'] {
    return this.#device.name
  }

  /** How images are prepared: made squares of `size` pixels a side, squashed or cropped. */
  get image(): { readonly size: number; readonly resize: 'squash' | 'crop' } {
    const { size, resize } = this.#folder.model.config.image
    return { size, resize }
  }

  /** What scores are computed with unless a call says otherwise. */
  get lengthPenalty(): number {
    return this.#folder.generation.lengthPenalty
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
   * The caption of one image word by word: after each token the best caption that still grows, with `done` false; the
   * last item is the whole caption, with `done` true. Of greedy search and sampling each continues the one before, of a
   * beam search another may become the best. Leaving the loop early stops the work and frees its memory.
   * @throws ImageError when the image cannot be decoded; ArgumentError for options out of range; the signal's reason
   *   when it is aborted
   *
   * @example
   * for await (const { text, done } of captioner.captionStream('photo.jpg', { beam: 1 })) show(text, done)
   */
  async *captionStream(
    image: ImageInput,
    options: CaptionStreamOptions = {},
  ): AsyncGenerator<CaptionProgress> {
    options.signal?.throwIfAborted()
    this.#open()
    yield* this.streamDecoded(await decodeImage(image, this.#folder.model.config.image), options)
  }

  /** @internal captionStream of what decodeImage gives */
  async *streamDecoded(
    pixels: Uint8Array,
    options: CaptionStreamOptions,
  ): AsyncGenerator<CaptionProgress> {
    const { signal } = options
    const captions = this.#open().stream(this.#images([pixels]), options)
    try {
      for (;;) {
        signal?.throwIfAborted()
        const { done, value } = await captions.next()
        if (done) return yield { done, ...bestOf(value) }
        yield { done: false, ...value }
      }
    } finally {
      await captions.return([])
    }
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

  /** @internal Captions of what decodeImage gives, each drawn as if its image were the only one of the call. */
  async captionDecoded(pixels: readonly Uint8Array[], options: CaptionOptions): Promise<Caption[]> {
    return await this.#captionPixels(
      pixels,
      options,
      pixels.map(() => 0),
    )
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
    const found = await this.#open().captions(this.#images(pixels), options, places)
    return found.map(bestOf)
  }

  #images(pixels: readonly Uint8Array[]): LoadedImages {
    const { model } = this.#folder
    const inputs = model.image ? { images: pixelInput(model, Buffer.concat(pixels)) } : {}
    return { count: pixels.length, inputs }
  }

  #open(): CaptionLoop {
    if (this.#loop) return this.#loop
    throw new DisposedError(
      'caption: this captioner was closed. Load it again with loadCaptioner()',
    )
  }
}

/** @param captions of one image, best first */
function bestOf(captions: readonly CaptionText[]): Caption {
  const [best] = captions
  if (!best) throw internalError('caption: the decoding gave none')
  return captions.length > 1
    ? { ...best, captions: captions.map(({ tokens: _, ...caption }) => caption) }
    : best
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
