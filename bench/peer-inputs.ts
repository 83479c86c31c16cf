/** Weights and data of a workload for the PyTorch side, so that both sides compute the same loss and the same captions. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { batchIndices } from '../ts/data/batches.js'
import { writeSafetensors } from '../ts/files/safetensors.js'
import { readValues } from '../ts/train/weights.js'
import { batches, type Workload } from './workload.js'

export interface PeerInputs {
  /** What bench/peers/serve.py opens. */
  readonly message: Readonly<Record<string, unknown>>
  remove(): Promise<void>
}

/** Writes a file with weights, pictures and features to a temporary folder. */
export async function writePeerInputs({ run, pictures, features }: Workload): Promise<PeerInputs> {
  const { model, config, captions } = run
  const { size } = config.model.image
  const folder = await mkdtemp(join(tmpdir(), 'captioneer-bench-'))
  const file = join(folder, 'inputs.safetensors')
  const values = await readValues(model, run.weights)
  const weights = values.map(({ name, shape, values: data }) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: asBytes(data),
  }))
  const pixels = { shape: [pictures.length, size, size, 3], data: Buffer.concat(pictures) }
  const known = {
    shape: [features.length, model.cells, model.encoder.channels],
    data: Buffer.concat(features.map(asBytes)),
  }
  await writeSafetensors(file, [
    ...weights,
    { name: 'pixels', dtype: 'U8', ...pixels },
    ...(features.length > 0 ? [{ name: 'features', dtype: 'BF16' as const, ...known }] : []),
  ])
  const indices = Array.from({ length: batches }, (_, i) =>
    batchIndices(i, pictures.length, config.batchSize, config.data.seed),
  )
  return {
    message: {
      file,
      model: config.model,
      vocabulary: model.vocabulary,
      frozen: run.frozenStages > 0,
      cached: features.length > 0,
      optimizer: config.optimizer,
      indices,
      captions: indices.map((batch) => batch.map((i) => captions[i])),
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

function asBytes(data: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
