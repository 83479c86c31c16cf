/** Zeros around an image before a window slides over it, and the size of what comes out. Shared by convolutions. */
import { ArgumentError, ShapeError, shapeText } from '../errors.js'

/** One number for all sides, each side, or TensorFlow's SAME: as many outputs as ceil(size / stride). */
export type Padding =
  | number
  | 'same'
  | readonly [top: number, left: number, bottom: number, right: number]

/** Where a window begins and how many places it takes. */
export interface Places {
  readonly top: number
  readonly left: number
  readonly height: number
  readonly width: number
}

/**
 * Padding in rows and columns, and the output's size.
 *
 * @param image [B, H, W, C]
 * @param window height and width
 * @param stride of both axes
 * @throws ArgumentError when stride or padding is no whole number in range
 * @throws ShapeError when the window does not fit into the padded image
 */
export function placesOf(
  op: string,
  image: readonly number[],
  window: readonly [height: number, width: number],
  stride: number,
  padding: Padding,
): Places {
  const [, height = 0, width = 0] = image
  const [windowHeight, windowWidth] = window
  if (!(Number.isInteger(stride) && stride >= 1))
    throw new ArgumentError(
      `${op}: expected stride to be an integer of at least 1, received ${stride}`,
    )
  const [top, left, bottom, right] =
    padding === 'same'
      ? same(height, width, windowHeight, windowWidth, stride)
      : typeof padding === 'number'
        ? [padding, padding, padding, padding]
        : padding
  for (const pad of [top, left, bottom, right])
    if (!(Number.isInteger(pad) && pad >= 0))
      throw new ArgumentError(
        `${op}: expected padding to be 'same', an integer of at least 0 or four of them ` +
          `[top, left, bottom, right], received ${JSON.stringify(padding)}`,
      )
  const places = {
    top,
    left,
    height: Math.floor((height + top + bottom - windowHeight) / stride) + 1,
    width: Math.floor((width + left + right - windowWidth) / stride) + 1,
  }
  if (places.height < 1 || places.width < 1)
    throw new ShapeError(
      `${op}: the window ${shapeText(window)} does not fit into x ${shapeText(image)} ` +
        `with padding ${JSON.stringify(padding)}`,
    )
  return places
}

/** What is missing on both sides together, the odd one at the bottom or right. */
function same(
  height: number,
  width: number,
  windowHeight: number,
  windowWidth: number,
  stride: number,
): [number, number, number, number] {
  const missing = (size: number, window: number) =>
    Math.max((Math.ceil(size / stride) - 1) * stride + window - size, 0)
  const vertical = missing(height, windowHeight)
  const horizontal = missing(width, windowWidth)
  const top = Math.floor(vertical / 2)
  const left = Math.floor(horizontal / 2)
  return [top, left, vertical - top, horizontal - left]
}
