/**
 * Many images, decoded ahead of the one who asks, in order, with bounded memory. One image's decoding
 * is image.ts; images that come back every epoch are kept by pixel-cache.ts.
 */
import { availableParallelism } from 'node:os'
import { argumentError, ImageError } from '../errors.js'
import { type DecodeOptions, decodeImage, type ImageInput } from './image.js'
import { createLimit } from './limit.js'

export interface LoadOptions extends DecodeOptions {
  /** Images decoded at the same time; the machine's cores when left out. */
  readonly concurrency?: number
  /** Images taken from `items` and not yet handed out, decoded or in work; 4 times `concurrency`. */
  readonly ahead?: number
  /** Ends the loading: the generator throws the signal's reason. */
  readonly signal?: AbortSignal
}

/** One item with its pixels, [size, size, 3] RGB bytes, or with the reason why there are none. */
export type LoadedImage<T> =
  | { readonly item: T; readonly pixels: Uint8Array; readonly error?: never }
  | { readonly item: T; readonly error: ImageError; readonly pixels?: never }

/**
 * Decodes the images of `items` and yields them in their order. At most `ahead` items are taken and
 * not yet yielded; an image that cannot be decoded carries its error, and the rest goes on.
 *
 * @throws whatever `items` or `toInput` throw (an ImageError of `toInput` stays with its item), and
 *   the signal's reason
 */
export async function* loadImages<T>(
  items: AsyncIterable<T> | Iterable<T>,
  toInput: (item: T) => ImageInput | Promise<ImageInput>,
  options: LoadOptions,
): AsyncGenerator<LoadedImage<T>> {
  const { signal, concurrency = availableParallelism() } = options
  const ahead = options.ahead ?? 4 * concurrency
  if (!Number.isInteger(ahead) || ahead < 1) {
    throw argumentError('loadImages', 'ahead', 'a whole number above 0', ahead)
  }
  const limit = createLimit(concurrency)
  const iterator =
    Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()

  const load = async (item: T): Promise<LoadedImage<T>> => {
    try {
      signal?.throwIfAborted()
      return { item, pixels: await decodeImage(await toInput(item), options) }
    } catch (error) {
      if (error instanceof ImageError) return { item, error }
      throw error
    }
  }
  // One `next` after another, as iterators demand, yet without waiting here: a slow source does not
  // hold back what is already decoded.
  let pulled: Promise<IteratorResult<T> | undefined> = Promise.resolve(undefined)
  const pull = (): Promise<LoadedImage<T> | undefined> => {
    const next = pulled.then(async (last) => (last?.done ? last : iterator.next()))
    pulled = next
    const slot = next.then((result) => (result.done ? undefined : limit(() => load(result.value))))
    slot.catch(() => {}) // reported when its turn comes
    return slot
  }
  const slots: Promise<LoadedImage<T> | undefined>[] = []
  try {
    for (;;) {
      while (slots.length < ahead) slots.push(pull())
      const loaded = await unlessAborted(slots.shift(), signal)
      if (loaded === undefined) return
      yield loaded
    }
  } finally {
    // Not awaited: a source that hangs must not keep its reader from leaving.
    Promise.resolve(iterator.return?.()).catch(() => {})
  }
}

/**
 * What `promise` resolves to, or the signal's reason at once when it aborts. Not Promise.race, which
 * would hold every image until the signal itself is freed.
 */
function unlessAborted<R>(
  promise: Promise<R> | undefined,
  signal?: AbortSignal,
): Promise<R | undefined> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const abort = (): void => reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    Promise.resolve(promise)
      .then(resolve, reject)
      .finally(() => signal?.removeEventListener('abort', abort))
  })
}
