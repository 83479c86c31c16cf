/** One HTML page of small pictures with their captions, that opens from the disk and loads nothing. */
import { html, renderPage } from '../report/page.js'
import { style } from '../report/style.js'
import type { Thumbnail } from '../report/thumbnail.js'
import type { WrittenCaption } from './destination.js'
import { naturalOrder } from './natural-order.js'

/** A picture's figure: one line of the page. */
export interface Figure {
  /** From the page's folder, with forward slashes. */
  readonly image: string
  readonly markup: string
}

const pageStyle = `
.gallery { margin-top: 1.75rem; }
.picture a { display: block; color: inherit; text-decoration: none; }
.picture a:focus-visible { outline: 3px solid var(--first); outline-offset: -3px; }
.picture .name { overflow-wrap: anywhere; }
`

export function figureOf({
  image,
  captions,
  picture,
}: {
  readonly image: string
  readonly captions: readonly WrittenCaption[]
  readonly picture: Thumbnail | undefined
}): string {
  const [best, ...others] = captions
  const link = image.split('/').map(encodeURIComponent).join('/')
  const source = picture && `data:image/jpeg;base64,${Buffer.from(picture.jpeg).toString('base64')}`
  const { markup } =
    html`<figure class="picture" data-image="${image}"><a class="frame" href="${link}">${
      picture
        ? html`<img src="${source}" width="${picture.width}" height="${picture.height}" alt="${best?.text}">`
        : 'cannot be shown'
    }</a><figcaption><p class="caption" dir="auto">${best?.text}</p>${
      others.length > 0 &&
      html`<ul>${others.map(({ text }) => html`<li dir="auto">${text}</li>`)}</ul>`
    }<p class="soft name">${image}</p></figcaption></figure>`
  return markup.replaceAll('\n', '&#10;')
}

/** The figures among the lines of a page. */
export function figuresIn(text: string): Figure[] {
  return text.split('\n').flatMap((markup) => {
    const name = /^<figure class="picture" data-image="([^"]*)">.*<\/figure>$/.exec(markup)?.[1]
    return name === undefined ? [] : [{ image: unescaped(name), markup }]
  })
}

/** Whether a text is such a page, or lines of one. */
export function isCaptionPage(text: string): boolean {
  return text.includes('<main class="captions">') || figuresIn(text).length > 0
}

/** The page, its figures in natural order, none twice. */
export function captionPage(figures: readonly Figure[]): string {
  const different = new Map(figures.map((figure) => [figure.markup, figure]))
  const ordered = [...different.values()].sort((a, b) => naturalOrder(a.image, b.image))
  const count = new Set(figures.map(({ image }) => image)).size
  return renderPage({
    title: 'Captions',
    styles: [style, pageStyle],
    body: html`<main class="captions">
<h1>Captions</h1>
<p class="soft">${count === 1 ? 'One picture' : `${count.toLocaleString('en-US')} pictures`}, captioned by a model. Each links to its file.</p>
<div class="gallery">
${ordered.map(({ markup }) => ({ markup }))}
</div>
</main>`,
    scripts: [],
  })
}

function unescaped(text: string): string {
  return text.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
}
