/** Pictures with the model's captions: some drawn at random, the best and the worst, or a validation's samples. */
import { shuffled } from '../random.js'
import type { ReportedEvaluation, ReportedPrediction } from './evaluation-file.js'
import { type Html, html } from './page.js'
import { type Thumbnail, thumbnail } from './thumbnail.js'

const RANDOM = 8
const EACH_END = 8

/** What the gallery shows of a picture; scores where there are any. */
export interface Captioned {
  /** Id of the image in the data set. */
  readonly image: string
  /** Its file; of no use to the page but to load it. */
  readonly path: string
  readonly caption: string
  readonly references: readonly string[]
  readonly cider?: number | undefined
  readonly exactMatch?: boolean | undefined
}

/** The picture that the page shows: bytes of an image file. */
export type PictureOf = (captioned: Captioned) => Promise<Uint8Array>

/** Where the model looked for each word of a caption. */
export interface Look {
  /** Whether the model saw the centre square of the picture, and not all of it. */
  readonly square: boolean
  /** The caption in parts. `map`: PNG that darkens what it did not look at; white space has none. */
  readonly words: readonly { readonly text: string; readonly map?: Uint8Array }[]
  /** All of it as one PNG. */
  readonly sheet: () => Promise<Uint8Array>
}

export interface GalleryItem extends Captioned {
  /** JPEG; undefined when the picture cannot be decoded any more. */
  readonly picture: Thumbnail | undefined
  readonly look: Look | undefined
}

export interface GalleryGroup<T extends Captioned = GalleryItem> {
  readonly title: string
  readonly items: readonly T[]
}

/** Pictures of an evaluation; which ones are drawn at random is decided by the seed. */
export function chooseGroups(
  { predictions }: ReportedEvaluation,
  seed: number,
): GalleryGroup<ReportedPrediction>[] {
  const drawn = Array.from(shuffled(predictions.length, seed).subarray(0, RANDOM))
  const random = drawn.flatMap((i) => predictions[i] ?? [])
  const others = predictions
    .filter((prediction) => !random.includes(prediction))
    .sort((a, b) => b.cider - a.cider)
  return [
    { title: 'Drawn at random', items: random },
    { title: 'Best by CIDEr-D', items: others.slice(0, EACH_END) },
    { title: 'Worst by CIDEr-D', items: others.slice(EACH_END).slice(-EACH_END).reverse() },
  ].filter(({ items }) => items.length > 0)
}

/** The groups with their pictures, small. */
export async function withPictures(
  groups: readonly GalleryGroup<Captioned>[],
  pictureOf: PictureOf,
  looks: ReadonlyMap<string, Look>,
): Promise<GalleryGroup[]> {
  const result: GalleryGroup[] = []
  for (const { title, items } of groups) {
    const shown: GalleryItem[] = []
    for (const item of items) {
      const picture = await smallPicture(item, pictureOf)
      shown.push({ ...item, picture, look: looks.get(item.image) })
    }
    result.push({ title, items: shown })
  }
  return result
}

async function smallPicture(item: Captioned, pictureOf: PictureOf): Promise<Thumbnail | undefined> {
  const bytes = await pictureOf(item).catch(() => undefined)
  return bytes && (await thumbnail(bytes))
}

export function gallerySection(groups: readonly GalleryGroup[]): Html {
  if (groups.length === 0) return html``
  const looked = groups.some(({ items }) => items.some(({ look }) => look))
  return html`<section><h2>Pictures</h2>
${looked && html`<p class="soft">Point at a word to see where in the picture the model looked for it.</p>`}
${groups.map(
  ({ title, items }) => html`<h3>${title}</h3><div class="gallery">${items.map(figure)}</div>`,
)}</section>`
}

function figure({
  picture,
  caption,
  image,
  look,
  cider,
  exactMatch,
  references,
}: GalleryItem): Html {
  const [first, ...more] = references
  return html`<figure class="picture"><div class="frame">${
    picture
      ? html`<span class="shot"><img src="${dataUrl(picture.jpeg, 'jpeg')}" width="${picture.width}" height="${picture.height}" alt="${caption}" title="${image}">${
          look && html`<img class="look${look.square && ' square'}" alt="" hidden>`
        }</span>`
      : 'cannot be shown'
  }</div>
<figcaption><p class="caption" dir="auto">${look ? wordsOf(look) : caption}</p>
${(cider !== undefined || exactMatch !== undefined) && scoreLine(cider, exactMatch)}
<ul>${first !== undefined && html`<li dir="auto">${first}</li>`}</ul>
${
  more.length > 0 &&
  html`<details><summary class="soft">${more.length} more references</summary><ul>${more.map(
    (reference) => html`<li dir="auto">${reference}</li>`,
  )}</ul></details>`
}${look && picture && glances(look, picture)}</figcaption></figure>`
}

function scoreLine(cider: number | undefined, exactMatch: boolean | undefined): Html {
  return html`<span class="soft">${cider !== undefined && `CIDEr-D ${(100 * cider).toFixed(0)}`}${
    exactMatch !== undefined &&
    html` · <span class="${exactMatch ? 'right' : 'wrong'}">${exactMatch ? '✓ right' : '✗ wrong'}</span>`
  }</span>`
}

/** The caption word by word; the script finds a word's map by its place among the glances. */
function wordsOf({ words }: Look): Html {
  let place = 0
  const parts = words.map(({ text, map }) =>
    map ? html`<span data-word="${place++}">${text}</span>` : html`${text}`,
  )
  return { markup: parts.map(({ markup }) => markup).join('') }
}

/** A small picture for each word: what pointing shows, for screens that are touched, and for keyboards. */
function glances({ words, square }: Look, { width, height }: Thumbnail): Html {
  return html`<details><summary class="soft">where it looked</summary><div class="glances">${words.flatMap(
    ({ text, map }) =>
      map
        ? html`<span class="glance"><span style="aspect-ratio: ${width} / ${height}"><img${square && { markup: ' class="square"' }} src="${dataUrl(map, 'png')}" alt=""></span>${text}</span>`
        : [],
  )}</div></details>`
}

function dataUrl(bytes: Uint8Array, format: 'jpeg' | 'png'): string {
  return `data:image/${format};base64,${Buffer.from(bytes).toString('base64')}`
}
