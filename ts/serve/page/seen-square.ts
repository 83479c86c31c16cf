/** Which part of a picture a model sees. */

export interface Rectangle {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** `squash`: all of it; `crop`: the square in its middle, of the shorter side. In the units of `width` and `height`. */
export function seenSquare(width: number, height: number, resize: 'squash' | 'crop'): Rectangle {
  if (resize === 'squash') return { x: 0, y: 0, width, height }
  const side = Math.min(width, height)
  return { x: (width - side) / 2, y: (height - side) / 2, width: side, height: side }
}
