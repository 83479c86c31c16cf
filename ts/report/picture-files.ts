/** The pictures of a report as PNG files in `samples/` of the run folder, for slides and papers. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { fileError } from '../files/system-error.js'
import { pictureName } from '../train/trackers/history.js'
import type { Chart } from './charts.js'
import type { GalleryGroup, GalleryItem } from './gallery.js'
import { type Colours, chartSvg } from './static-chart.js'

const COLUMNS = 4
/** Of one picture with its caption, pixels. */
const CELL = 240
const PICTURE = 190
const LINE = 18
/** Letters in a line, about, and most lines. */
const LETTERS = 34
const MOST_LINES = 4
/** One pixel of an SVG is one dot at 72 dots per inch; two by two are sharp enough to print. */
const DENSITY = 144

const paper: Colours & { readonly '--ink': string } = {
  '--first': '#1f6fd0',
  '--second': '#d9641c',
  '--third': '#7a7d86',
  '--soft': '#62656d',
  '--line': '#e4e3de',
  '--card': '#ffffff',
  '--ink': '#1c1d20',
}

/** Writes `samples/charts/*.png`, and of the first group `gallery.png` and `attention/*.png`. Throws CheckpointError when the system refuses. */
export async function writePictures(
  folder: string,
  charts: readonly Chart[],
  groups: readonly GalleryGroup[],
): Promise<void> {
  const place = join(folder, 'samples')
  try {
    await mkdir(join(place, 'charts'), { recursive: true })
    for (const chart of charts) {
      const name = chart.title.toLowerCase().replace(/[^a-z0-9]+/g, '-')
      await writeFile(join(place, 'charts', `${name}.png`), await toPng(chartSvg(chart, paper)))
    }
    const [group] = groups
    if (!group) return
    await writeFile(join(place, 'gallery.png'), await toPng(sheet(group.items)))
    for (const { image, look } of group.items) {
      if (!look) continue
      await mkdir(join(place, 'attention'), { recursive: true })
      await writeFile(join(place, 'attention', pictureName(image)), await look.sheet())
    }
  } catch (error) {
    throw fileError(`saving pictures in ${place}`, error)
  }
}

function toPng(svg: string): Promise<Uint8Array> {
  return sharp(Buffer.from(svg), { density: DENSITY })
    .flatten({ background: paper['--card'] })
    .png()
    .toBuffer()
}

/** Pictures in rows, the caption below each. */
function sheet(items: readonly GalleryItem[]): string {
  const columns = Math.min(COLUMNS, items.length)
  const height = PICTURE + MOST_LINES * LINE + 24
  const cells = items.map((item, i) => {
    const x = (i % columns) * CELL
    const y = Math.floor(i / columns) * height
    const jpeg = item.picture && Buffer.from(item.picture.jpeg).toString('base64')
    const picture =
      jpeg &&
      `<image x="8" y="8" width="${CELL - 16}" height="${PICTURE}" href="data:image/jpeg;base64,${jpeg}"/>`
    const lines = wrapped(item.caption).map(
      (line, n) => `<text x="12" y="${PICTURE + 28 + n * LINE}">${escapeXml(line)}</text>`,
    )
    return `<g transform="translate(${x} ${y})">${picture ?? ''}${lines.join('')}</g>`
  })
  const size = `width="${columns * CELL}" height="${Math.ceil(items.length / columns) * height}"`
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="system-ui, sans-serif" ` +
    `font-size="13" fill="${paper['--ink']}">${cells.join('')}</svg>`
  )
}

/** Lines of about LETTERS letters; the last ends in dots when words are left over. */
function wrapped(text: string): string[] {
  const lines = ['']
  for (const word of text.split(/\s+/u)) {
    const line = lines.at(-1) ?? ''
    if (line === '') lines[lines.length - 1] = word.slice(0, LETTERS)
    else if (line.length + word.length < LETTERS) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word.slice(0, LETTERS))
  }
  if (lines.length <= MOST_LINES) return lines
  return [...lines.slice(0, MOST_LINES - 1), `${lines[MOST_LINES - 1]} …`]
}

function escapeXml(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cs}]/gu, '\ufffd')
    .replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
