/** A data set of a few generated scenes and settings small enough to train on in a second or two. */
import { join } from 'node:path'
import { writeScenes } from '../../ts/data/scenes/write.js'
import type { TrainOptions } from '../../ts/train/train.js'

/** Writes 24 training and 6 validation scenes to `folder`/data. */
export async function smallData(folder: string): Promise<string> {
  const path = join(folder, 'data')
  await writeScenes(path, { train: 24, val: 6, seed: 3, size: 64 })
  return path
}

/** Options of a run of 12 steps, 3 an epoch, with dropout, a checkpoint every other step and one validation an epoch. */
export function smallRun(data: string, out: string): TrainOptions {
  return {
    data,
    out,
    preset: 'tiny',
    model: {
      decoder: {
        dim: 32,
        layers: 1,
        heads: 4,
        feedForward: 64,
        dropout: 0.1,
        attentionDropout: 0.1,
      },
    },
    batchSize: 8,
    maxSteps: 12,
    checkpoint: { every: 2, keep: 2 },
    validation: { captions: 6, samples: 2, beam: 2 },
    schedule: { warmupSteps: 4 },
    report: false,
    trackers: [],
    device: 'cpu',
  }
}
