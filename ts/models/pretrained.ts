/** Encoder weights from a published file (safetensors with torchvision's names), classifier left out. */
import { readSafetensors } from '../files/safetensors.js'
import type { Encoder } from './encoders/encoder.js'
import { namedSpecs } from './params.js'
import { readStored } from './stored.js'

/**
 * Values of every parameter and statistic of the encoder, by its name, in the device's layout.
 * @throws CheckpointError naming the key that is missing or has another shape; nothing is half applied
 */
export async function readEncoderWeights(
  path: string,
  encoder: Encoder,
): Promise<Map<string, Float32Array>> {
  return readStored(await readSafetensors(path), namedSpecs(encoder.specs), 'ignore')
}
