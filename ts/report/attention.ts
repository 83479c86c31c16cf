/** A picture of where a model looked for each word of a caption: one tile a word, with its heat map over the image. */
import sharp from 'sharp'
import type { CaptionAttention } from '../models/word-attention.js'

/** A square image as the model sees it, in any resolution. */
export interface SquarePixels {
  /** RGB, row by row. */
  readonly data: Uint8Array
  /** Pixels. */
  readonly size: number
}

/** Side of a tile's picture, in pixels; what is given smaller or larger is resized to it. */
export const tileSize = 176
const GAP = 12
const LABEL = 30
const MOST_COLUMNS = 6

/**
 * The image itself, then a tile for each word, in rows of six. The brightest place of a tile is where the word took most
 * from; how much that is, the weights say. Cells that are no place in the image are not shown.
 * @returns a PNG
 */
export async function attentionPicture(
  pixels: SquarePixels,
  { words, side, extra, weights }: CaptionAttention,
): Promise<Buffer> {
  const picture = await scaled(pixels.data, pixels.size, 3)
  const cells = extra + side * side
  const tiles = await Promise.all(
    words.map(async (_, i) => {
      const map = weights.subarray(i * cells + extra, (i + 1) * cells)
      const largest = map.reduce((most, weight) => Math.max(most, weight), 0)
      const bytes = Uint8Array.from(map, (weight) => (largest > 0 ? (255 * weight) / largest : 0))
      return heated(picture, await scaled(bytes, side, 1))
    }),
  )
  const all = [picture, ...tiles]
  const columns = Math.min(all.length, MOST_COLUMNS)
  const place = (tile: number) => ({
    left: GAP + (tile % columns) * (tileSize + GAP),
    top: GAP + Math.floor(tile / columns) * (tileSize + LABEL),
  })
  const width = GAP + columns * (tileSize + GAP)
  const height = GAP + Math.ceil(all.length / columns) * (tileSize + LABEL)
  const labels = words.map((word, i) => {
    const { left, top } = place(i + 1)
    return `<text x="${left + tileSize / 2}" y="${top + tileSize + 20}">${escaped(shortened(word))}</text>`
  })
  const text =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-size="15" ` +
    `font-family="system-ui, sans-serif" text-anchor="middle" fill="#1f2328">${labels.join('')}</svg>`
  const raw = { width: tileSize, height: tileSize, channels: 3 as const }
  return await sharp({ create: { width, height, channels: 3, background: '#ffffff' } })
    .composite([
      ...all.map((tile, i) => ({ input: Buffer.from(tile), raw, ...place(i) })),
      { input: Buffer.from(text), left: 0, top: 0 },
    ])
    .png()
    .toBuffer()
}

/** A square of bytes in the size of a tile. */
async function scaled(data: Uint8Array, size: number, channels: 1 | 3): Promise<Uint8Array> {
  const resized = sharp(data, { raw: { width: size, height: size, channels } }).resize(
    tileSize,
    tileSize,
    { fit: 'fill', kernel: 'cubic' },
  )
  // One channel of grey stays one.
  return await (channels === 1 ? resized.toColourspace('b-w') : resized).raw().toBuffer()
}

/** The picture darkened, and over it from red to yellow where the map is warm. */
function heated(picture: Uint8Array, map: Uint8Array): Uint8Array {
  return picture.map((byte, i) => {
    const heat = (map[Math.floor(i / 3)] ?? 0) / 255
    const colour = [235, 60 + 170 * heat, 40][i % 3] ?? 0
    const cover = 0.7 * heat
    return Math.round((1 - cover) * 0.55 * byte + cover * colour)
  })
}

function shortened(word: string): string {
  const characters = [...word.trim()]
  return characters.length > 20 ? `${characters.slice(0, 19).join('')}…` : characters.join('')
}

// Characters that XML cannot hold become U+FFFD.
function escaped(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cs}]/gu, '\ufffd')
    .replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
