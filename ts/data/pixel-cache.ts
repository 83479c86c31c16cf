/**
 * Decoded pixels of a data set, kept in memory as far as they fit, else decoded again: after the
 * first epoch a trainer whose images fit never waits on decoding. Features of a frozen encoder are
 * another matter: feature-cache.ts.
 */
import { availableParallelism } from 'node:os'
import { argumentError } from '../errors.js'
import type { CaptionedImage } from './dataset.js'
import { type DecodeOptions, decodeImage } from './image.js'
import { createLimit } from './limit.js'

export interface PixelCacheOptions extends DecodeOptions {
  /** Bytes of pixels that may be kept; an image takes size x size x 3. */
  readonly maxBytes: number
  /** Prefetched images that did not fit and may wait for their `get`; 256 when left out. */
  readonly ahead?: number
  /** Images decoded at the same time; the machine's cores when left out. */
  readonly concurrency?: number
}

export interface PixelCache {
  /** [size, size, 3] RGB bytes, shared with every other caller: not to be written to. Rejects with ImageError. */
  get(image: CaptionedImage): Promise<Uint8Array>
  /** Starts decoding images that a later `get` will ask for; returns how many it accepted. */
  prefetch(images: Iterable<CaptionedImage>): number
  /** Bytes kept for good, those in work included. */
  keptBytes(): number
}

/** @throws ArgumentError when `maxBytes` or `ahead` is negative or not a number */
export function createPixelCache(options: PixelCacheOptions): PixelCache {
  const { size, maxBytes, ahead = 256, concurrency = availableParallelism() } = options
  for (const [name, value] of Object.entries({ maxBytes, ahead })) {
    if (!(value >= 0)) throw argumentError('createPixelCache', name, 'a number from 0 up', value)
  }
  const imageBytes = size * size * 3
  const limit = createLimit(concurrency)
  const entries = new Map<
    string,
    { readonly pixels: Promise<Uint8Array>; readonly kept: boolean }
  >()
  let kept = 0
  let passing = 0

  // First come, first kept, nothing evicted: an epoch visits every image once in random order, so
  // the image that was used last is the one whose next use is farthest away.
  const start = (path: string) => {
    const fits = kept + imageBytes <= maxBytes
    if (fits) kept += imageBytes
    else passing++
    const pixels = limit(() => decodeImage(path, options))
    // A broken image keeps its error, so that it is not tried in every epoch, but holds no bytes.
    pixels.catch(() => {
      if (fits) kept -= imageBytes
    })
    const entry = { pixels, kept: fits }
    entries.set(path, entry)
    return entry
  }
  const forget = (path: string): void => {
    if (entries.delete(path)) passing--
  }

  return {
    async get({ path }) {
      const entry = entries.get(path) ?? start(path)
      try {
        return await entry.pixels
      } finally {
        if (!entry.kept && entries.get(path) === entry) forget(path)
      }
    },
    prefetch(images) {
      let accepted = 0
      for (const { path } of images) {
        if (entries.has(path)) continue
        if (kept + imageBytes > maxBytes && passing >= ahead) break
        start(path)
        accepted++
      }
      return accepted
    },
    keptBytes: () => kept,
  }
}
