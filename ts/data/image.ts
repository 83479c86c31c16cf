/**
 * Any image that a user hands over, to the square of RGB bytes that a model takes. sharp decodes and
 * resizes on libuv's worker threads (UV_THREADPOOL_SIZE of them, 4 unless set), so the event loop
 * stays free without worker_threads of our own. Many images at once: image-loader.ts.
 */
import { readFile, stat } from 'node:fs/promises'
import sharp, { type SharpOptions } from 'sharp'
import { argumentError, ImageError } from '../errors.js'

/** A path, the bytes of an image file, or RGB pixels, 3 bytes each, row by row. */
export type ImageInput =
  | string
  | Uint8Array
  | { readonly data: Uint8Array; readonly width: number; readonly height: number }

export interface DecodeOptions {
  /** Side of the square that comes back, in pixels. */
  readonly size: number
  /** `squash`: both sides straight to `size`. `crop`: shorter side to `size`, then the centre. */
  readonly resize: 'squash' | 'crop'
  /** Longest that decoding may take; any when left out. */
  readonly seconds?: number
}

/** Extensions of the formats that are decoded, lower case. */
export const IMAGE_EXTENSIONS = ['.jpg', '.jpeg', '.png', '.webp', '.gif', '.tif', '.tiff', '.avif']

/** More pixels than this are refused from the header, before anything is allocated. */
const MAX_PIXELS = 100_000_000
const MAX_FILE_BYTES = 1024 ** 3
const FORMATS = 'a JPEG, PNG, WebP, GIF, TIFF or AVIF image'

// One image is one thread's work: images run beside each other. And none comes twice, so a cache of
// libvips operations would only hold memory.
sharp.cache(false)
sharp.concurrency(1)

/**
 * Decodes an image: turned upright by its EXIF orientation, converted to sRGB, transparency laid onto
 * white, the first frame of an animation, resized with an antialiased triangle filter (what
 * torchvision calls bilinear).
 *
 * @returns [size, size, 3] RGB bytes
 * @throws ImageError, naming the image and the reason, when it is missing, empty, not an image, cut
 *   off, has no pixels or more than 100 megapixels
 */
export async function decodeImage(input: ImageInput, options: DecodeOptions): Promise<Uint8Array> {
  const { size, resize, seconds } = options
  if (!Number.isInteger(size) || size < 1 || size > 4096) {
    throw argumentError('decodeImage', 'size', 'an integer from 1 to 4096', size)
  }
  const fit = { squash: 'fill', crop: 'cover' } as const
  if (!Object.hasOwn(fit, resize)) {
    throw argumentError('decodeImage', 'resize', '"squash" or "crop"', resize)
  }
  const name = nameOf(input)
  const { bytes, format } = await bytesOf(input, name)
  const source: SharpOptions = {
    ...format,
    autoOrient: true,
    failOn: 'error',
    limitInputPixels: MAX_PIXELS,
  }
  try {
    const image = sharp(bytes, source)
    if (seconds !== undefined) image.timeout({ seconds })
    const pixels = await image
      .flatten({ background: '#ffffff' })
      .resize(size, size, { fit: fit[resize], kernel: 'linear' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer()
    return new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength)
  } catch (cause) {
    throw new ImageError(`reading ${name}: ${await reasonOf(cause, bytes)}`, { cause })
  }
}

/** An image's name as it stands in messages. */
function nameOf(input: ImageInput): string {
  if (typeof input === 'string') return `image "${input}"`
  if (input instanceof Uint8Array) return `an image of ${input.length} bytes`
  return `an image of ${input.width} x ${input.height} pixels`
}

async function bytesOf(
  input: ImageInput,
  name: string,
): Promise<{ bytes: Uint8Array; format: SharpOptions }> {
  if (typeof input !== 'string' && !(input instanceof Uint8Array)) {
    return { bytes: input.data, format: rawFormat(input, name) }
  }
  const bytes = typeof input === 'string' ? await readImageFile(input, name) : input
  if (bytes.length === 0) {
    throw new ImageError(`reading ${name}: it is empty (0 bytes); expected ${FORMATS}`)
  }
  // Told from the first bytes and not left to libvips, which would also run SVG and PDF renderers.
  if (!isImage(bytes)) {
    throw new ImageError(`reading ${name}: it is not ${FORMATS}; convert it to one of these`)
  }
  return { bytes, format: {} }
}

/** A file's bytes. Passed to sharp instead of the path, in which libvips would look for options. */
async function readImageFile(path: string, name: string): Promise<Uint8Array> {
  try {
    const info = await stat(path)
    if (!info.isFile()) throw new ImageError(`reading ${name}: it is not a file`)
    if (info.size > MAX_FILE_BYTES) {
      throw new ImageError(`reading ${name}: it has ${info.size} bytes, more than 1 GiB`)
    }
    return await readFile(path)
  } catch (cause) {
    if (cause instanceof ImageError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    const reason =
      code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'no permission to read it' : message
    throw new ImageError(`reading ${name}: ${reason}`, { cause })
  }
}

function rawFormat(
  image: { readonly data: Uint8Array; readonly width: number; readonly height: number },
  name: string,
): SharpOptions {
  const { data, width, height } = image
  const whole = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0
  if (!whole) throw new ImageError(`reading ${name}: width and height must be whole and above 0`)
  if (width * height > MAX_PIXELS) throw new ImageError(`reading ${name}: ${tooLarge()}`)
  if (data.length !== width * height * 3) {
    throw new ImageError(
      `reading ${name}: expected ${width * height * 3} bytes (RGB, 3 a pixel), received ${data.length}`,
    )
  }
  return { raw: { width, height, channels: 3 } }
}

function isImage(bytes: Uint8Array): boolean {
  const head = String.fromCharCode(...bytes.subarray(0, 12))
  return (
    head.startsWith('\xff\xd8\xff') ||
    head.startsWith('\x89PNG\r\n\x1a\n') ||
    /^GIF8[79]a/.test(head) ||
    /^RIFF.{4}WEBP/s.test(head) ||
    /^(II[*+]\0|MM\0[*+])/.test(head) ||
    /^.{4}ftyp(avif|avis|mif1|msf1)/s.test(head)
  )
}

/** Why sharp refused bytes that begin as an image should, in a user's words. */
async function reasonOf(cause: unknown, bytes: Uint8Array): Promise<string> {
  const message = cause instanceof Error ? cause.message : String(cause)
  if (/pixel limit/i.test(message)) {
    const { width, height } = await sharp(bytes, { limitInputPixels: false }).metadata()
    return `it has ${width} x ${height} pixels, ${tooLarge()}`
  }
  if (/^timeout:/.test(message)) return 'it takes too long to decode; scale it down first'
  // libvips keeps one error text for all threads: it may be lost, so no reason is told from it.
  const [first = ''] = message.split('\n')
  const detail = first.replace(/^(Input buffer has corrupt header: ?|Unknown error)/, '')
  return `the file is cut off or damaged${detail && ` (${detail})`}; fetch or export it again`
}

function tooLarge(): string {
  return 'more than the 100 megapixels that are read; scale it down first'
}
