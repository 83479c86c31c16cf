/**
 * Linear layers of a decoding step. On the CPU a product with few rows spends most of its time on laying out the weight;
 * a state of decoding keeps the weight as the product wants it. No gradients: weights that change are packed anew.
 */
import { empty, type Tensor } from '../tensor.js'

// With fewer rows a plain product takes no longer: both wait for the weight to come from memory.
const fewestRows = 6

/** Whether weights should be packed for so many rows. A GPU wants them as they are. */
export function packs(rows: number, { device }: Tensor): boolean {
  return device.name === 'cpu' && rows >= fewestRows
}

/** A weight [O, C] as the products of `packedLinear` with `rows` rows want it; undefined where that is as it is. */
export function packLinear(weight: Tensor, rows: number): Tensor | undefined {
  if (!packs(rows, weight)) return undefined
  const room = weight.shape.reduce((size, n) => size * 64 * Math.ceil(n / 64), 1)
  const packed = empty([room], weight.dtype, weight.device)
  weight.device.kernels.packLinear(packed, weight)
  return packed
}

/** x W^T + b, float32 [R, O], of x [R, C]. @param packed what `packLinear` made of the weight */
export function packedLinear(
  x: Tensor,
  { weight, bias }: { readonly weight: Tensor; readonly bias: Tensor },
  packed: Tensor | undefined,
): Tensor {
  const out = empty([x.shape[0] ?? 0, weight.shape[0] ?? 0], 'float32', x.device)
  x.device.kernels.packedLinear(out, x, packed, weight, bias)
  return out
}
