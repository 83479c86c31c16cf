/** A transformer's smaller ops in float64. */
import { given, type ReferenceInputs } from '../references.js'
import { attentionReferences } from './attention.js'

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

interface LookOptions {
  readonly heads: number
  readonly rowsPerKey: number
  readonly maxKeys: number
}

export const transformerReferences = {
  /** Each pair of channels as a complex number, times e^(i angle). */
  rotary: (
    inputs: ReferenceInputs,
    { size, heads, theta = 10_000 }: { size: number; heads: number; theta?: number },
  ) => {
    const x = given(inputs, 'x')
    const positions = given(inputs, 'positions').data
    const columns = x.shape[1] ?? 1
    return x.data.map((value, i) => {
      const column = i % columns
      if (column >= heads * size) return value
      const pair = Math.floor((column % size) / 2)
      const angle = (positions[Math.floor(i / columns)] ?? 0) * theta ** ((-2 * pair) / size)
      const [other, sign] = column % 2 === 0 ? [x.data[i + 1], -1] : [x.data[i - 1], 1]
      return value * Math.cos(angle) + sign * (other ?? 0) * Math.sin(angle)
    })
  },
  swiglu: (inputs: ReferenceInputs) => {
    const x = given(inputs, 'x')
    const columns = (x.shape.at(-1) ?? 2) / 2
    return Float64Array.from({ length: x.data.length / 2 }, (_, i) => {
      const at = Math.floor(i / columns) * 2 * columns + (i % columns)
      const gate = x.data[at] ?? 0
      return gate * sigmoid(gate) * (x.data[at + columns] ?? 0)
    })
  },
  layerScale: (inputs: ReferenceInputs) => {
    const scale = given(inputs, 'scale').data
    const residual = inputs.residual?.data
    return given(inputs, 'x').data.map(
      (value, i) => value * (scale[i % scale.length] ?? 0) + (residual?.[i] ?? 0),
    )
  },
  /** Attention to values that are 1 for one key and 0 for the others gives the weight of this key. */
  attentionWeights: (inputs: ReferenceInputs, options: LookOptions) => {
    const { heads, maxKeys } = options
    const q = given(inputs, 'q')
    const kv = given(inputs, 'kv')
    const keyOffsets = given(inputs, 'keyOffsets').data
    const [queries = 0, channels = 0] = q.shape
    const out = new Float64Array(queries * maxKeys)
    for (let j = 0; j < maxKeys; j++) {
      const data = kv.data.map((value, i) => {
        const row = Math.floor(i / (2 * channels))
        if (i % (2 * channels) < channels) return value
        return row - firstKeyOf(row, keyOffsets) === j ? 1 : 0
      })
      const looked = attentionReferences.crossAttention({ ...inputs, kv: { ...kv, data } }, options)
      for (let n = 0; n < queries; n++)
        for (let h = 0; h < heads; h++)
          out[n * maxKeys + j] =
            (out[n * maxKeys + j] ?? 0) +
            (looked[n * channels + (h * channels) / heads] ?? 0) / heads
    }
    return out
  },
}

/** Where the keys of the set that a row of kv belongs to begin. */
function firstKeyOf(row: number, keyOffsets: Float64Array): number {
  return keyOffsets.filter((first) => first <= row).at(-1) ?? 0
}
