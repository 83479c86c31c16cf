/** Whether a file has the tensors that a model needs, told before any of them is used. */
import { CheckpointError, nearest, shapeText } from '../errors.js'

/** The part of a file of tensors that is looked at here. */
interface Named<T extends { readonly shape: readonly number[] }> {
  readonly path: string
  readonly tensors: ReadonlyMap<string, T>
}

/**
 * Checks that a file holds exactly the tensors that a model needs.
 *
 * @param expected  shape by name
 * @param extra     whether tensors that are not expected are refused or ignored
 * @throws CheckpointError naming the first missing, wrong-shaped or unknown tensor
 */
export function requireTensors(
  file: Named<{ readonly shape: readonly number[] }>,
  expected: ReadonlyMap<string, readonly number[]>,
  extra: 'refuse' | 'ignore' = 'refuse',
): void {
  for (const [name, shape] of expected) {
    const found = findTensor(file, name).shape
    if (found.length !== shape.length || found.some((size, i) => size !== shape[i])) {
      throw misfit(
        file.path,
        `expected tensor "${name}" to be ${shapeText(shape)}, received ${shapeText(found)}`,
      )
    }
  }
  const unknown = [...file.tensors.keys()].find((name) => !expected.has(name))
  if (extra === 'refuse' && unknown !== undefined) {
    throw misfit(file.path, `the model has no tensor "${unknown}"`)
  }
}

/**
 * The entry of a tensor.
 *
 * @throws CheckpointError naming the tensor and the nearest name when the file has none of that name
 */
export function findTensor<T extends { readonly shape: readonly number[] }>(
  file: Named<T>,
  name: string,
): T {
  const tensor = file.tensors.get(name)
  if (tensor !== undefined) return tensor
  const near = nearest(name, [...file.tensors.keys()])
  const hint = near === undefined ? '' : ` (nearest name in the file: "${near}")`
  throw misfit(file.path, `tensor "${name}" is missing${hint}`)
}

function misfit(path: string, reason: string): CheckpointError {
  return new CheckpointError(
    `reading ${path}: ${reason}. Use the file with the model that it was saved for`,
  )
}
