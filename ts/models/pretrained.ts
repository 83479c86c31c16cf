/** Encoder weights from a published file (safetensors with torchvision's names), classifier left out. */
import { requireTensors } from '../files/require-tensors.js'
import { readSafetensors } from '../files/safetensors.js'
import type { Encoder } from './encoders/encoder.js'
import { namedSpecs } from './params.js'

/**
 * Values of every parameter and statistic of the encoder, by its name.
 * @throws CheckpointError naming the key that is missing or has another shape; nothing is half applied
 */
export async function readEncoderWeights(
  path: string,
  encoder: Encoder,
): Promise<Map<string, Float32Array>> {
  const file = await readSafetensors(path)
  const expected = new Map([...namedSpecs(encoder.specs)].map(([name, spec]) => [name, spec.shape]))
  requireTensors(file, expected, 'ignore')
  return new Map([...expected.keys()].map((name) => [name, file.float32(name)]))
}
