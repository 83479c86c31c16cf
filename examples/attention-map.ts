/**
 * Draws where the model looked for each word of a caption, one picture a word, side by side:
 * `node dist/examples/attention-map.js ./runs/mine photo.jpg map.png`. `captioneer caption --attention` draws the same with
 * words below; this shows how to do it from the numbers.
 */
import { loadCaptioner } from 'captioneer'
import sharp from 'sharp'

const [model, picture, out] = process.argv.slice(2)
if (model === undefined || picture === undefined || out === undefined) {
  throw new Error('expected a model folder, a picture and the PNG to write')
}

const tile = 160
const captioner = await loadCaptioner(model)
const { text, attention } = await captioner.caption(picture, { attention: true })
const { resize } = captioner.image
captioner.close()
if (attention === undefined) throw new Error('the caption came without attention')

const { words, side, extra, weights } = attention
const seen = await sharp(picture, { autoOrient: true })
  .resize(tile, tile, { fit: resize === 'crop' ? 'cover' : 'fill' })
  .toColourspace('srgb')
  .removeAlpha()
  .png()
  .toBuffer()
const tiles = await Promise.all(words.map((_, word) => lit(word)))
await sharp({
  create: { width: tile * words.length, height: tile, channels: 3, background: '#000' },
})
  .composite(tiles.map((input, i) => ({ input, left: i * tile, top: 0 })))
  .png()
  .toFile(out)
console.log(`${out}: ${text}`)

/** The picture, bright where the word took most of its image and dark elsewhere. */
async function lit(word: number): Promise<Buffer> {
  // A row holds the cells that are no place in the image first, then the map, row by row.
  const cells = extra + side * side
  const map = weights.subarray(word * cells + extra, (word + 1) * cells)
  const most = Math.max(...map)
  const light = Uint8Array.from(map, (weight) => 80 + (175 * weight) / most)
  const mask = await sharp(light, { raw: { width: side, height: side, channels: 1 } })
    .resize(tile, tile, { fit: 'fill', kernel: 'cubic' })
    .toColourspace('srgb')
    .png()
    .toBuffer()
  return await sharp(seen)
    .composite([{ input: mask, blend: 'multiply' }])
    .png()
    .toBuffer()
}
