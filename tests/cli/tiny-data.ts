/** A data set that is trained on in a second: pictures of one colour, captioned with its name. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'

const colours = ['red', 'green', 'blue', 'yellow', 'black'] as const
const IMAGES = 20

/** A new folder with 20 pictures and their captions; `remove` deletes it. */
export async function tinyData(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'captioneer-cli-'))
  const rows = ['image,caption']
  for (let i = 0; i < IMAGES; i++) {
    const colour = colours[i % colours.length] ?? 'red'
    const name = `picture-${String(i).padStart(2, '0')}.png`
    await sharp({ create: { width: 40, height: 40, channels: 3, background: colour } })
      .png()
      .toFile(join(folder, name))
    rows.push(`${name},a ${colour} picture`, `${name},a picture that is ${colour}`)
  }
  await writeFile(join(folder, 'captions.csv'), `${rows.join('\n')}\n`)
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** Flags of a run over it that takes a second. */
export const tinyFlags = [
  '--preset',
  'tiny',
  '--model.decoder.dim=32',
  '--model.decoder.layers=1',
  '--data.valFraction',
  '0.2',
  '--batch-size=8',
]
