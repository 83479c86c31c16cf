/** A small JPEG of a picture, for pages that hold many. */
import sharp from 'sharp'

/** Longest side, pixels. */
const SIDE = 256
const MAX_PIXELS = 100_000_000

export interface Thumbnail {
  readonly jpeg: Uint8Array
  readonly width: number
  readonly height: number
}

/**
 * The picture upright, on white, at most 256 pixels a side.
 *
 * @param bytes  of an image file
 * @returns      undefined when it cannot be decoded
 */
export async function thumbnail(bytes: Uint8Array): Promise<Thumbnail | undefined> {
  try {
    const { data, info } = await sharp(bytes, { autoOrient: true, limitInputPixels: MAX_PIXELS })
      .flatten({ background: '#ffffff' })
      .resize(SIDE, SIDE, { fit: 'inside' })
      .jpeg({ quality: 82 })
      .toBuffer({ resolveWithObject: true })
    return { jpeg: data, width: info.width, height: info.height }
  } catch {
    return undefined
  }
}
