/** Bytes of images to normalised floats, cropped, scaled and mirrored on the way when boxes are given. */
import { ArgumentError, ShapeError, shapeText } from '../errors.js'
import { axes, defineOp, expectShape, type FloatDtype } from './define-op.js'

export interface NormalizeImageOptions {
  /** Height and width of the output, in pixels; only with crop boxes. As x unless given. */
  readonly size?: readonly [height: number, width: number]
  /** Channels of the output, those beyond three zero. 3 unless given. */
  readonly channels?: number
  /** float32 unless given. */
  readonly dtype?: FloatDtype
}

/**
 * out = (x / 255 - mean) / std, of the box of each image, bilinear (pixel centres, no low-pass filter).
 *
 * @param x    [B, IH, IW, 3] uint8, RGB
 * @param mean [3] in units of 0-1
 * @param std  [3] in units of 0-1
 * @param crop [B, 5] int32: top, left, height, width in pixels of x, mirrored (0 or 1)
 * @returns    [B, H, W, channels]
 * @throws ShapeError when the shapes do not fit together
 * @throws ArgumentError for a wrong option
 */
export const normalizeImage = defineOp({
  name: 'normalizeImage',
  inputs: ['x', 'mean', 'std', 'crop?'],
  kinds: { x: 'uint8', mean: 'float32', std: 'float32', crop: 'int32' },
  shape: ({ x, mean, std, crop }, { size, channels = 3, dtype }: NormalizeImageOptions) => {
    const [B = 0, IH = 0, IW = 0, colours] = axes('normalizeImage', 'x', x, 4)
    if (colours !== 3)
      throw new ShapeError(
        `normalizeImage: x is ${shapeText(x.shape)}; its last size must be 3 (RGB)`,
      )
    expectShape('normalizeImage', 'mean', mean, [3], 'the colours')
    expectShape('normalizeImage', 'std', std, [3], 'the colours')
    expectShape('normalizeImage', 'crop', crop, [B, 5], `x ${shapeText(x.shape)}`)
    if (!(Number.isInteger(channels) && channels >= 3))
      throw new ArgumentError(
        `normalizeImage: expected channels to be an integer of at least 3, received ${channels}`,
      )
    if (size && !crop)
      throw new ArgumentError(
        'normalizeImage: size needs crop boxes; without them the size is of x',
      )
    const [H, W] = size ?? [IH, IW]
    if (!(Number.isInteger(H) && Number.isInteger(W) && H >= 1 && W >= 1))
      throw new ArgumentError(
        `normalizeImage: expected size to be two integers of at least 1, received ${JSON.stringify(size)}`,
      )
    return { shape: [B, H, W, channels], dtype }
  },
  forward: (k, out, { x, mean, std, crop }) => k.normalizeImage(out, x, mean, std, crop),
})
