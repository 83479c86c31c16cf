/** Published weights of an encoder as a safetensors file of ours: torchvision's names, no classifier, float32. */
import { writeSafetensors } from '../files/safetensors.js'
import type { Encoder } from '../models/encoders/encoder.js'
import { namedSpecs } from '../models/params.js'
import { readPublishedWeights } from '../models/pretrained.js'
import { readStored, toStored } from '../models/stored.js'

/** What was converted. */
export interface WeightsConversion {
  readonly out: string
  readonly encoder: string
  /** Whose names the file has: torchvision, timm, Hugging Face, or unknown. */
  readonly library: string
  readonly tensors: number
  /** Numbers in them, running statistics included. */
  readonly numbers: number
  /** Tensors of the file that the encoder has no place for, a classifier's above all; counters of batch norms apart. */
  readonly leftOut: readonly string[]
}

/**
 * Reads weights and writes them; the same encoder reads the result.
 *
 * @param path  safetensors file or PyTorch checkpoint
 * @param key   which state dict of a checkpoint that holds several
 * @throws CheckpointError naming the tensor that is missing or has another shape; nothing is written then
 */
export async function convertWeights(
  path: string,
  encoder: Encoder,
  out: string,
  key?: string,
): Promise<WeightsConversion> {
  const { library, file, origins, names } = await readPublishedWeights(path, key)
  const specs = new Map(namedSpecs(encoder.specs))
  const values = readStored(file, specs, 'ignore')
  const stored = [...specs].map(([name, spec]) =>
    toStored(name, spec, values.get(name) ?? new Float32Array()),
  )
  const entries = stored.map(({ name, shape, values: { buffer, byteOffset, byteLength } }) => {
    const data = new Uint8Array(buffer, byteOffset, byteLength)
    return { name, dtype: 'F32' as const, shape, data }
  })
  const metadata = new Map([
    ['format', 'pt'],
    ['encoder', encoder.name],
  ])
  const used = new Set([...specs.keys()].flatMap((name) => origins.get(name) ?? []))
  await writeSafetensors(out, entries, metadata)
  return {
    out,
    encoder: encoder.name,
    library,
    tensors: entries.length,
    numbers: stored.reduce((sum, { values }) => sum + values.length, 0),
    leftOut: names.filter((name) => !used.has(name) && !name.endsWith('.num_batches_tracked')),
  }
}
