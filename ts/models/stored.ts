/**
 * Parameters as files hold them: PyTorch's layouts. Only convolution kernels differ from the device's, [O, R, S, C / groups],
 * where the numbers that a kernel multiplies lie side by side; they are turned here and nowhere else.
 */
import { requireTensors } from '../files/require-tensors.js'
import type { TensorFile } from '../files/tensor-file.js'
import type { ParamSpec } from './params.js'

/** One parameter or statistic as it stands in a file. */
export interface StoredValues {
  readonly name: string
  readonly shape: readonly number[]
  readonly values: Float32Array
}

/** The shape in a file: [O, C / groups, R, S] for a convolution kernel. */
export function storedShape({ shape, kernel }: ParamSpec): readonly number[] {
  const [outputs = 1, rows = 1, columns = 1, channels = 1] = shape
  return kernel ? [outputs, channels, rows, columns] : shape
}

/** Values of the device's layout as a file holds them; the array itself where both are alike. */
export function toStored(name: string, spec: ParamSpec, values: Float32Array): StoredValues {
  const { places, channels } = windowOf(spec)
  return { name, shape: storedShape(spec), values: transposed(values, places, channels) }
}

/** Values of a file in the device's layout; the array itself where both are alike. */
export function fromStored(spec: ParamSpec, values: Float32Array): Float32Array {
  const { places, channels } = windowOf(spec)
  return transposed(values, channels, places)
}

/**
 * Values of every spec from a file, by name, in the device's layout.
 * @param extra whether tensors that no spec names are refused or ignored
 * @throws CheckpointError naming the key that is missing, unknown or of another shape; nothing is half applied
 */
export function readStored(
  file: TensorFile,
  specs: Iterable<readonly [name: string, spec: ParamSpec]>,
  extra: 'refuse' | 'ignore',
): Map<string, Float32Array> {
  const known = new Map(specs)
  requireTensors(file, new Map([...known].map(([name, spec]) => [name, storedShape(spec)])), extra)
  return new Map([...known].map(([name, spec]) => [name, fromStored(spec, file.float32(name))]))
}

/** Places R S of a kernel's window and channels of each; one place for everything else. */
function windowOf({ shape, kernel }: ParamSpec) {
  const [, rows = 1, columns = 1, channels = 1] = shape
  return kernel ? { places: rows * columns, channels } : { places: 1, channels: 1 }
}

/** Each block of [rows, columns] as [columns, rows]. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  if (rows === 1 || columns === 1) return values
  const out = new Float32Array(values.length)
  const block = rows * columns
  for (let start = 0; start < values.length; start += block)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        out[start + column * rows + row] = values[start + row * columns + column] ?? 0
  return out
}
