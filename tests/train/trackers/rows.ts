/** Rows and a picture as a run gives them to its trackers. */
import type { ExecutionContext } from 'ava'
import sharp from 'sharp'
import type { TrackedImage, TrackedRow, TrackedRun } from '../../../ts/train/trackers/tracker.js'

export function stepRow(step: number, loss = 5 / step): TrackedRow {
  return {
    kind: 'step',
    step,
    steps: 100,
    epoch: 0,
    loss,
    learningRate: 1e-3,
    gradientNorm: 0.5,
    imagesPerSecond: 120,
    captionsPerSecond: 600,
    secondsLeft: 7,
  }
}

export function validationRow(step: number): TrackedRow {
  const samples = [{ image: 'a', path: '/a.png', caption: 'a dog', references: ['a dog runs'] }]
  return {
    kind: 'validation',
    step,
    epoch: 0,
    loss: 2.5,
    accuracy: 0.5,
    bleu4: 0.125,
    cider: 0.75,
    best: true,
    samples,
  }
}

export async function sampleImage(step: number, caption = 'a dog'): Promise<TrackedImage> {
  const png = await sharp({ create: { width: 6, height: 4, channels: 3, background: 'red' } })
    .png()
    .toBuffer()
  return { step, name: 'dogs/one.jpg', png, caption, references: ['a dog runs'] }
}

/** What a tracker is opened with; `failures` collects what it warns of. */
export function trackedRun(
  folder: string,
  startStep = 0,
): TrackedRun & { readonly failures: string[] } {
  const failures: string[] = []
  return {
    folder,
    config: { preset: 'tiny', optimizer: { learningRate: 0.001 }, trackers: ['a', 'b'] },
    startStep,
    fail: (reason) => failures.push(reason),
    failures,
  }
}

/** Sets environment variables until the test ends; undefined removes one. For serial tests only. */
export function environment(
  t: ExecutionContext,
  values: Readonly<Record<string, string | undefined>>,
): void {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const)
  const set = (name: string, value: string | undefined) => {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
  for (const [name, value] of Object.entries(values)) set(name, value)
  t.teardown(() => {
    for (const [name, value] of before) set(name, value)
  })
}
