/** `caption --attention DIR`: a picture of each caption's attention and its numbers as JSON, into a folder. */
import { mkdir } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import type { Caption } from '../captioner.js'
import { decodeImage, type ImageInput } from '../data/image.js'
import { writeAtomic } from '../files/atomic.js'
import { fileError } from '../files/system-error.js'
import { attentionPicture, tileSize } from '../report/attention.js'

/** What the pictures are made from. */
export interface AttentionOptions {
  readonly folder: string
  /** How the model's images are made square. */
  readonly resize: 'squash' | 'crop'
}

/**
 * A function that writes `<name>.png` and `<name>.json` for a caption and gives the picture's path; names that come again
 * are numbered.
 * @throws CheckpointError when the folder cannot be written
 */
export async function attentionFiles({ folder, resize }: AttentionOptions) {
  const taken = new Set<string>()
  try {
    await mkdir(folder, { recursive: true })
  } catch (error) {
    throw fileError(`writing ${folder}`, error)
  }
  return async (image: string, input: ImageInput, caption: Caption): Promise<string> => {
    const { text, attention } = caption
    if (!attention) throw new Error('the caption came without its attention')
    const name = freeName(image === '-' ? 'stdin' : basename(image, extname(image)), taken)
    const { words, side, extra, weights } = attention
    const cells = extra + side * side
    const rows = words.map((_, i) =>
      Array.from(weights.subarray(i * cells, (i + 1) * cells), (weight) => round(weight)),
    )
    const data = await decodeImage(input, { size: tileSize, resize })
    const picture = join(folder, `${name}.png`)
    const png = await attentionPicture({ data, size: tileSize }, attention)
    await writeAtomic(picture, async (file) => await file.writeFile(png))
    const json = JSON.stringify({ image, caption: text, words, side, extra, weights: rows })
    await writeAtomic(join(folder, `${name}.json`), async (file) => {
      await file.writeFile(`${json}\n`)
    })
    return picture
  }
}

function freeName(wanted: string, taken: Set<string>): string {
  let name = wanted
  for (let i = 2; taken.has(name); i++) name = `${wanted}-${i}`
  taken.add(name)
  return name
}

function round(weight: number): number {
  return Math.round(weight * 1e6) / 1e6
}
