/** Pictures of an evaluation with the model's captions: some drawn at random, the best and the worst. */
import { readFile } from 'node:fs/promises'
import sharp from 'sharp'
import type { EvaluateResult } from '../evaluate/evaluate.js'
import type { Prediction } from '../evaluate/judge.js'
import { shuffled } from '../random.js'
import { type Html, html } from './page.js'

const RANDOM = 8
const EACH_END = 8
/** Longest side of a picture, pixels. */
const SIDE = 192
const MAX_PIXELS = 100_000_000

/** The picture that the page shows for a prediction: bytes of an image file. */
export type PictureOf = (prediction: Prediction) => Promise<Uint8Array>

/** Pictures with captions; which ones are drawn at random is decided by the seed. */
export async function gallery(
  { predictions }: EvaluateResult,
  seed: number,
  pictureOf: PictureOf = ({ path }) => readFile(path),
): Promise<Html> {
  const drawn = Array.from(shuffled(predictions.length, seed).subarray(0, RANDOM))
  const random = drawn.flatMap((i) => predictions[i] ?? [])
  const others = predictions
    .filter((prediction) => !random.includes(prediction))
    .sort((a, b) => b.cider - a.cider)
  const best = others.slice(0, EACH_END)
  const worst = others.slice(EACH_END).slice(-EACH_END).reverse()
  return html`<section><h2>Pictures</h2>
${await group('Drawn at random', random, pictureOf)}
${await group('Best by CIDEr-D', best, pictureOf)}
${await group('Worst by CIDEr-D', worst, pictureOf)}
</section>`
}

async function group(
  title: string,
  predictions: readonly Prediction[],
  pictureOf: PictureOf,
): Promise<Html> {
  if (predictions.length === 0) return html``
  const figures: Html[] = []
  for (const prediction of predictions) {
    figures.push(figure(prediction, await thumbnail(prediction, pictureOf)))
  }
  return html`<h3>${title}</h3><div class="gallery">${figures}</div>`
}

function figure(prediction: Prediction, picture: string | undefined): Html {
  const { caption, references, cider, exactMatch, image } = prediction
  const [first, ...more] = references
  return html`<figure class="picture"><div class="frame">${
    picture === undefined
      ? 'cannot be shown'
      : html`<img src="${picture}" alt="${caption}" title="${image}" loading="lazy">`
  }</div>
<figcaption><p class="caption" dir="auto">${caption}</p>
<span class="soft">CIDEr-D ${(100 * cider).toFixed(0)}${
    exactMatch !== undefined &&
    html` · <span class="${exactMatch ? 'right' : 'wrong'}">${exactMatch ? '✓ right' : '✗ wrong'}</span>`
  }</span>
<ul><li dir="auto">${first}</li></ul>
${
  more.length > 0 &&
  html`<details><summary class="soft">${more.length} more references</summary><ul>${more.map(
    (reference) => html`<li dir="auto">${reference}</li>`,
  )}</ul></details>`
}</figcaption></figure>`
}

/** A data URL of a small JPEG; undefined when the picture cannot be decoded any more. */
async function thumbnail(
  prediction: Prediction,
  pictureOf: PictureOf,
): Promise<string | undefined> {
  try {
    const jpeg = await sharp(await pictureOf(prediction), {
      autoOrient: true,
      limitInputPixels: MAX_PIXELS,
    })
      .flatten({ background: '#ffffff' })
      .resize(SIDE, SIDE, { fit: 'inside' })
      .jpeg({ quality: 82 })
      .toBuffer()
    return `data:image/jpeg;base64,${jpeg.toString('base64')}`
  } catch {
    return undefined
  }
}
