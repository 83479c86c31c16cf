/** Pictures of a validation's sample captions, for the trackers. */
import { readFile } from 'node:fs/promises'
import sharp from 'sharp'
import type { ValidationProgress } from '../events.js'
import type { Tracker } from './tracker.js'

/** Longer side, pixels. */
const SIDE = 256
const MAX_PIXELS = 100_000_000

/** Tells the trackers the samples of a validation whose picture can be decoded. */
export async function trackSamples(
  trackers: Required<Tracker>,
  { step, samples }: ValidationProgress,
): Promise<void> {
  for (const { image: name, path, caption, references } of samples) {
    const png = await pictureOf(path)
    if (png) await trackers.image({ step, name, png, caption, references })
  }
}

async function pictureOf(path: string): Promise<Uint8Array | undefined> {
  try {
    return await sharp(await readFile(path), { autoOrient: true, limitInputPixels: MAX_PIXELS })
      .flatten({ background: '#ffffff' })
      .resize(SIDE, SIDE, { fit: 'inside' })
      .png()
      .toBuffer()
  } catch {
    return undefined
  }
}
