/** Trains the tiny preset on generated scenes twice with one seed and prints the losses: a program of its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeScenes } from '../../ts/data/scenes/write.js'
import { train } from '../../ts/train/train.js'
import { chooseChecked } from './program.js'

const steps = 300

const { device } = chooseChecked()
const folder = await mkdtemp(join(tmpdir(), 'captioneer-gpu-check-'))
try {
  const data = join(folder, 'scenes')
  await writeScenes(data, { train: 2000, val: 50, size: 64, seed: 1 })
  const runs = []
  for (const name of ['first', 'second']) {
    const losses: number[] = []
    const { imagesPerSecond, peakBytes } = await train({
      data,
      preset: 'tiny',
      out: join(folder, name),
      device,
      maxSteps: steps,
      seed: 3,
      validation: { every: steps, captions: 50 },
      onProgress: ({ loss }) => losses.push(loss),
    })
    runs.push({ losses, imagesPerSecond, peakBytes })
  }
  process.stdout.write(`${JSON.stringify(runs)}\n`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
