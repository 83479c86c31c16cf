/** Where the model looked for each word of the gallery's captions, as maps that are laid over the pictures. */
import sharp from 'sharp'
import { Captioner } from '../captioner.js'
import { decodeImage } from '../data/image.js'
import { readModelFolder } from '../models/model-folder.js'
import type { CaptionAttention } from '../models/word-attention.js'
import { type DeviceName, openDevice } from '../native.js'
import { attentionPicture, tileSize } from './attention.js'
import type { ReportedEvaluation } from './evaluation-file.js'
import type { Captioned, GalleryGroup, Look } from './gallery.js'

const BATCH = 8
/** Opacity of the darkest parts, where the model looked least. */
const DARKEST = 0.72

/**
 * Captions the pictures once more, now with attention.
 * @returns by image id; without those whose picture cannot be decoded any more or whose caption comes out otherwise
 * @throws CheckpointError, DeviceError
 */
export async function looksOf(
  modelFolder: string,
  groups: readonly GalleryGroup<Captioned>[],
  decoding: ReportedEvaluation['decoding'],
  device: DeviceName = 'auto',
): Promise<Map<string, Look>> {
  const looks = new Map<string, Look>()
  const folder = await readModelFolder(modelFolder)
  const { config, image } = folder.model
  if (!image) return looks
  const items = groups.flatMap((group) => group.items)
  using captioner = new Captioner(folder, openDevice(device))
  const options = { ...decoding, attention: true, batchSize: BATCH }
  let next = 0
  for await (const result of captioner.captionAll(
    items.map(({ path }) => path),
    options,
  )) {
    const item = items[next++]
    if (!item || result.error || !result.attention || result.text !== item.caption) continue
    const { text, attention } = result
    if (attention.side < 2) continue
    const { resize } = config.image
    looks.set(item.image, {
      square: resize === 'crop',
      words: await mappedWords(text, attention),
      sheet: async () => {
        const data = await decodeImage(item.path, { size: tileSize, resize })
        return attentionPicture({ data, size: tileSize }, attention)
      },
    })
  }
  return looks
}

/** The caption cut into its tokens, white space and all, each with its map. */
async function mappedWords(caption: string, attention: CaptionAttention): Promise<Look['words']> {
  const { words, side, extra, weights } = attention
  const cells = extra + side * side
  const parts: { text: string; map?: Uint8Array }[] = []
  let at = 0
  for (const [i, word] of words.entries()) {
    const text = word.trim()
    const start = caption.indexOf(text, at)
    if (text === '' || start < 0) continue
    if (start > at) parts.push({ text: caption.slice(at, start) })
    const map = await shade(weights.subarray(i * cells + extra, (i + 1) * cells), side)
    parts.push({ text, map })
    at = start + text.length
  }
  return at < caption.length ? [...parts, { text: caption.slice(at) }] : parts
}

/** PNG of `side` by `side` pixels, black: clear where the weight is highest, dark where it is lowest. */
async function shade(weights: Float32Array, side: number): Promise<Uint8Array> {
  const low = Math.min(...weights)
  const range = Math.max(...weights) - low || 1
  const pixels = new Uint8Array(weights.length * 4)
  weights.forEach((weight, i) => {
    pixels[4 * i + 3] = Math.round(255 * DARKEST * (1 - (weight - low) / range))
  })
  return sharp(pixels, { raw: { width: side, height: side, channels: 4 } })
    .png()
    .toBuffer()
}
