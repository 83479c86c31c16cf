/** What self-attention and cross-attention check alike, and their views of packed columns. */
import { argumentError, ShapeError, shapeText } from '../errors.js'
import { type Tensor, view } from '../tensor.js'
import { axes, expectShape } from './define-op.js'

/** The column blocks of x [N, parts * C], each a view [N, C]. */
export function columnParts<const P extends 2 | 3>(
  x: Tensor,
  parts: P,
): P extends 2 ? [Tensor, Tensor] : [Tensor, Tensor, Tensor] {
  const [rows = 0, columns = 0] = x.shape
  const width = columns / parts
  const views = Array.from({ length: parts }, (_, i) =>
    view(x, [rows, width], i * width, x.rowStride),
  )
  return views as P extends 2 ? [Tensor, Tensor] : [Tensor, Tensor, Tensor]
}

/** Throws unless `columns` are `parts` times the channels of `heads` heads. */
export function checkHeads(
  op: string,
  name: string,
  columns: number,
  parts: number,
  heads: number,
): void {
  checkCount(op, 'heads', heads)
  if (columns === 0 || columns % (parts * heads) !== 0)
    throw new ShapeError(
      `${op}: ${name} has ${columns} columns; they must split into ${parts * heads} equal parts ` +
        `(${parts} for ${heads} heads)`,
    )
}

/** The number of rows that offsets [R + 1] describe. */
export function checkOffsets(op: string, name: string, offsets: Tensor): number {
  const [count = 0] = axes(op, name, offsets, 1)
  if (count === 0)
    throw new ShapeError(`${op}: ${name} is ${shapeText(offsets.shape)}; it must hold at least a 0`)
  return count - 1
}

export function checkCount(op: string, name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) throw argumentError(op, name, 'an integer >= 1', value)
}

export function checkDropout(op: string, probability = 0, rng: Tensor | undefined): void {
  if (!(probability >= 0 && probability < 1))
    throw argumentError(op, 'probability', 'a number from 0 to below 1', probability)
  if (probability > 0 && !rng)
    throw new ShapeError(`${op}: input rng is missing; it is needed when probability > 0`)
  expectShape(op, 'rng', rng, [3], 'seed and step')
}
