/** JSON lines: history.jsonl, one row for each step and validation, and the pictures of validations as PNG files. */
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { appendJsonLine } from '../../files/json-lines.js'
import { fileError } from '../../files/system-error.js'
import type { TrackedRow, TrackedRun, Tracker } from './tracker.js'

/** The tracker that every run has. A row is in the file when `log` is done, so that a checkpoint never is ahead of it. */
export function historyTracker({ folder, fail }: TrackedRun): Tracker {
  const attempt = async (work: Promise<void>) => {
    await work.catch((error: unknown) => fail(error instanceof Error ? error.message : `${error}`))
  }
  return {
    name: 'history.jsonl',
    log: (row) => attempt(appendJsonLine(join(folder, 'history.jsonl'), historyRow(row))),
    image: ({ name, png }) => attempt(savePicture(samplePath(folder, name), png)),
    close: async () => {},
  }
}

/** Where the picture of a validation image is kept: `samples/<its id>.png`. */
export function samplePath(folder: string, image: string): string {
  return join(folder, 'samples', pictureName(image))
}

/** The name of a PNG file for an image's id, of letters that every system takes. */
export function pictureName(image: string): string {
  const name = image.replace(/\.png$/, '').replace(/[^\p{L}\p{N}._-]+/gu, '_')
  return `${name.slice(-100)}.png`
}

// NaN and infinities have no JSON: they become null. What is left to do is of no interest afterwards.
function historyRow(row: TrackedRow): object {
  if (row.kind !== 'step') return row
  const { kind, steps, secondsLeft, ...values } = row
  return { kind, ...values }
}

async function savePicture(path: string, png: Uint8Array): Promise<void> {
  if (await stat(path).catch(() => undefined)) return
  try {
    await mkdir(join(path, '..'), { recursive: true })
    await writeFile(path, png)
  } catch (error) {
    throw fileError(`saving ${path}`, error)
  }
}
