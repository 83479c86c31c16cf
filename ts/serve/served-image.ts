/**
 * Images of strangers, decoded in a model's process: three formats, checked by their headers first, and so few pixels at
 * a time that memory stays bounded. Decoding itself is data/image.ts.
 */
import sharp from 'sharp'
import { type DecodeOptions, decodeImage } from '../data/image.js'
import { ImageError } from '../errors.js'

/** Of one image, and of those that are decoded at the same time; a pixel of more than 4 bytes counts as several. */
const maxPixels = 50_000_000
/** What JPEG can have; libvips cannot scale much longer ones. */
const maxSide = 65_535
/** Whole seconds. */
const maxSeconds = 5

/** Leaves libvips no decoders but the three that are needed; for the whole process. */
export function blockOtherFormats(): void {
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({
    operation: ['Jpeg', 'Png', 'Webp'].map((format) => `VipsForeignLoad${format}Buffer`),
  })
}

/** What decodes an image as decodeImage does, @throws ImageError also for other formats and more than 50 megapixels. */
export function createImageDecoder(
  options: DecodeOptions,
): (bytes: Uint8Array) => Promise<Uint8Array> {
  const room = createRoom(maxPixels)
  return async (bytes) => {
    const pixels = await pixelsOf(bytes)
    return await room(pixels, () => decodeImage(bytes, { ...options, seconds: maxSeconds }))
  }
}

/** Pixels of an image that may be decoded, by its header. */
async function pixelsOf(bytes: Uint8Array): Promise<number> {
  const image = `reading an image of ${bytes.length} bytes`
  if (!isServed(String.fromCharCode(...bytes.subarray(0, 12))))
    throw new ImageError(
      `${image}: it is not a JPEG, PNG or WebP image; convert it to one of these`,
    )
  const { width, height, channels, depth } = await sharp(bytes, { limitInputPixels: false })
    .metadata()
    // decodeImage says what is wrong with it.
    .catch(() => ({ width: 1, height: 1, channels: 3, depth: 'uchar' }))
  const pixelBytes = channels * (depth === 'uchar' ? 1 : 2)
  const pixels = width * height * Math.max(1, pixelBytes / 4)
  if (pixels <= maxPixels && Math.max(width, height) <= maxSide) return pixels
  throw new ImageError(
    `${image}: it has ${width} x ${height} pixels of ${pixelBytes} bytes; at most ${maxPixels / 1e6} megapixels are ` +
      `read, fewer of more than 4 bytes, and sides of ${maxSide}. Scale it down first`,
  )
}

/** @param head an image's first bytes */
function isServed(head: string): boolean {
  return (
    head.startsWith('\xff\xd8\xff') ||
    head.startsWith('\x89PNG\r\n\x1a\n') ||
    /^RIFF.{4}WEBP/s.test(head)
  )
}

/** Runs jobs whose sizes together stay within `all`, in their order. None is larger. */
function createRoom(all: number): <R>(size: number, job: () => Promise<R>) => Promise<R> {
  let free = all
  const waiting: { readonly size: number; readonly start: () => void }[] = []
  const admit = (): void => {
    for (let next = waiting[0]; next && next.size <= free; next = waiting[0]) {
      waiting.shift()
      free -= next.size
      next.start()
    }
  }
  return async (size, job) => {
    await new Promise<void>((start) => {
      waiting.push({ size, start })
      admit()
    })
    try {
      return await job()
    } finally {
      free += size
      admit()
    }
  }
}
