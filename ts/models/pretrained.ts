/**
 * Encoder weights from a published file: safetensors or a PyTorch checkpoint, with the names of torchvision, timm or
 * Hugging Face. What the encoder has no place for, such as a classifier, is left out.
 */
import { CheckpointError } from '../errors.js'
import { readTensorFile, type TensorFile } from '../files/tensor-file.js'
import type { Encoder } from './encoders/encoder.js'
import { namedSpecs } from './params.js'
import { type Origin, publishedNames } from './published-names.js'
import { readStored } from './stored.js'

/** A file of encoder weights under our names. */
export interface PublishedWeights {
  /** Whose names the file has. */
  readonly library: string
  readonly file: TensorFile
  /** By our name, the file's own names. */
  readonly origins: ReadonlyMap<string, Origin>
  /** Every name of the file. */
  readonly names: readonly string[]
}

/**
 * Values of every parameter and statistic of the encoder, by its name, in the device's layout.
 *
 * @param key  which state dict of a PyTorch checkpoint that holds several
 * @throws CheckpointError naming the key that is missing or has another shape; nothing is half applied
 */
export async function readEncoderWeights(
  path: string,
  encoder: Encoder,
  key?: string,
): Promise<Map<string, Float32Array>> {
  const { file } = await readPublishedWeights(path, key)
  return readStored(file, namedSpecs(encoder.specs), 'ignore')
}

/** The tensors of a published file under torchvision's names. @throws CheckpointError as readTensorFile does */
export async function readPublishedWeights(path: string, key?: string): Promise<PublishedWeights> {
  const file = await readTensorFile(path, key)
  const { library, origins } = publishedNames(file.tensors.keys())
  const parts = [...origins].map(([name, origin]) => [name, entryOf(file, name, origin)] as const)
  const tensors = new Map(parts)
  const float32 = (name: string): Float32Array => {
    const [first = name, ...others] = origins.get(name) ?? []
    if (others.length === 0) return file.float32(first)
    const values = [first, ...others].map((part) => file.float32(part))
    const joined = new Float32Array(values.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const part of values) {
      joined.set(part, at)
      at += part.length
    }
    return joined
  }
  const names = [...file.tensors.keys()]
  return { library, file: { path, tensors, float32 }, origins, names }
}

/** The tensor that `origin` gives when its parts stand one after another along the first axis. */
function entryOf(file: TensorFile, name: string, origin: Origin) {
  const parts = origin.map((part) => file.tensors.get(part))
  const [first] = parts
  const rest = first?.shape.slice(1).join()
  if (first === undefined || parts.some((part) => part?.shape.slice(1).join() !== rest))
    throw new CheckpointError(
      `reading ${file.path}: "${name}" is put together of ${origin.join(', ')}, which are not all there or do not ` +
        'fit together. Fetch the file again',
    )
  const length = parts.reduce((sum, part) => sum + (part?.shape[0] ?? 0), 0)
  const shape = parts.length === 1 ? first.shape : [length, ...first.shape.slice(1)]
  return { dtype: first.dtype, shape }
}
