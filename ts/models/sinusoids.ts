/** Fixed positions, for decoders and encoders that learn none. */
import { cast, type Tensor, tensor } from '../tensor.js'

/**
 * [n, dim], in the dtype and on the device of `like`: sine in even, cosine in odd columns.
 * Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
 */
export function sinusoids(n: number, dim: number, like: Tensor): Tensor {
  const key = `${n} ${dim}`
  const table = tables.get(key) ?? sinusoidTable(n, dim)
  tables.set(key, table)
  return cast(tensor(table, [n, dim], like.device), like.dtype)
}

// Every pass of a model asks for the same few, and powers take long.
const tables = new Map<string, Float32Array>()

function sinusoidTable(n: number, dim: number): Float32Array {
  return Float32Array.from({ length: n * dim }, (_, i) => {
    const column = i % dim
    const angle = Math.floor(i / dim) * 10000 ** -((column - (column % 2)) / dim)
    return column % 2 === 0 ? Math.sin(angle) : Math.cos(angle)
  })
}
