/** Alt text for the images of documents that lack it. Captioning and asking people is the caller's. */
import { realpathSync } from 'node:fs'
import { altText } from './alt-text.js'
import { type Document, type Edit, edited } from './document.js'
import type { AltState, FoundImage } from './found-image.js'
import { resolveImage } from './resolve-image.js'

/** An image without alt text, and the file that it shows, or why that is not read. */
export interface MissingAlt {
  readonly image: FoundImage
  readonly file?: string
  readonly reason?: string
}

export interface ReviewedDocument {
  readonly document: Document
  readonly missing: readonly MissingAlt[]
  /** How many images of the document are in each state. */
  readonly counts: Readonly<Record<AltState, number>>
}

/** An image and what becomes of it: an alt text, or the reason why there is none. */
export type Proposal = MissingAlt & { readonly alt?: string; readonly score?: number }

/** @param root the folder that `/` stands for; unless given, addresses that begin with it are not read */
export function reviewDocument(document: Document, root: string | undefined): ReviewedDocument {
  const counts = { missing: 0, present: 0, decorative: 0, template: 0 }
  for (const { state } of document.images) counts[state]++
  const missing = document.images
    .filter(({ state }) => state === 'missing')
    .map((image): MissingAlt => {
      const found = resolveImage(image.src, { document: document.path, base: document.base, root })
      if ('reason' in found) return { image, reason: found.reason }
      return { image, file: canonical(found.path) }
    })
  return { document, missing, counts }
}

/** The files to caption, each once, in the order in which the documents show them. */
export function filesOf(reviews: readonly ReviewedDocument[]): string[] {
  return [...new Set(reviews.flatMap(({ missing }) => missing.flatMap(({ file }) => file ?? [])))]
}

/** A caption of a file, or why it has none. */
export type FileCaption =
  | { readonly text: string; readonly score: number }
  | { readonly reason: string }

export function proposalsFor(
  { missing }: ReviewedDocument,
  captions: ReadonlyMap<string, FileCaption>,
  maxLength: number,
): Proposal[] {
  return missing.map((item) => {
    const caption = item.file === undefined ? undefined : captions.get(item.file)
    if (caption === undefined) return item
    if ('reason' in caption) return { ...item, reason: caption.reason }
    const alt = altText(caption.text, maxLength)
    if (alt === '') return { ...item, reason: 'its caption is empty' }
    return { ...item, alt, score: caption.score }
  })
}

/** The document's text with the alt texts. */
export function withAltTexts(document: Document, proposals: readonly Proposal[]): string {
  const edits = proposals.flatMap(({ image: { start, end, altMarkup }, alt }): Edit[] =>
    alt === undefined ? [] : [{ start, end, text: altMarkup(alt) }],
  )
  return edited(document, edits)
}

/** One name for one file, however many links lead to it. */
function canonical(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
