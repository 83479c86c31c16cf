/**
 * Draws generated scenes with a caption under each on one sheet: `node dist/examples/scenes-sheet.js docs/images/scenes.png`.
 * The README shows the sheet; the words on it are set in whatever sans-serif font the machine has.
 */
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import sharp from 'sharp'
import { describeScene } from '../ts/data/scenes/grammar.js'
import { sceneRandom } from '../ts/data/scenes/random.js'
import { renderScenePng } from '../ts/data/scenes/render.js'
import { generateScene } from '../ts/data/scenes/scene.js'

const [out = 'docs/images/scenes.png'] = process.argv.slice(2)
const seed = 1952
const indices = [0, 1, 2, 3, 4, 5]
const columns = 3
const picture = 216
const gap = 24
const text = 60
const [cellWidth, cellHeight] = [picture + gap, picture + text + gap]

const cells = await Promise.all(
  indices.map(async (index, cell) => {
    const scene = generateScene(seed, index)
    const [caption = ''] = describeScene(scene, sceneRandom(seed, index, 2), 1)
    const left = gap + (cell % columns) * cellWidth
    const top = gap + Math.floor(cell / columns) * cellHeight
    return { left, top, caption, input: await roundedCorners(await renderScenePng(scene, picture)) }
  }),
)
const width = gap + columns * cellWidth
const height = gap + Math.ceil(indices.length / columns) * cellHeight
const words = cells.map(({ left, top, caption }) => {
  const lines = wrapped(caption).map((line, i) => {
    const [x, y] = [left + picture / 2, top + picture + 19 + 17 * i]
    return `<text x="${x}" y="${y}">${line}</text>`
  })
  return lines.join('')
})
const captions =
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" text-anchor="middle" ` +
  `font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="13" fill="#24292f">${words.join('')}</svg>`
await mkdir(dirname(out), { recursive: true })
await sharp({ create: { width, height, channels: 3, background: '#fff' } })
  .composite([...cells, { input: Buffer.from(captions), left: 0, top: 0 }])
  .removeAlpha()
  .png({ compressionLevel: 9, adaptiveFiltering: true })
  .toFile(out)

async function roundedCorners(png: Buffer): Promise<Buffer> {
  const mask = `<svg width="${picture}" height="${picture}"><rect width="100%" height="100%" rx="10"/></svg>`
  return await sharp(png)
    .ensureAlpha()
    .composite([{ input: Buffer.from(mask), blend: 'dest-in' }])
    .png()
    .toBuffer()
}

// Lines of about the same length, broken between words.
function wrapped(sentence: string): string[] {
  const most = 3 + Math.ceil(sentence.length / Math.ceil(sentence.length / 28))
  const lines: string[] = []
  for (const word of sentence.split(' ')) {
    const line = lines.at(-1)
    if (line !== undefined && line.length + 1 + word.length <= most) {
      lines[lines.length - 1] = `${line} ${word}`
    } else {
      lines.push(word)
    }
  }
  return lines
}
