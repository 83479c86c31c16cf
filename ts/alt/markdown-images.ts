/** Images of a Markdown document: its own, by reference too, and those of HTML in it. In code there are none. */
import type { Definition, Html, Image, ImageReference, Nodes, Root } from 'mdast'
import { fromMarkdown } from 'mdast-util-from-markdown'
import { type DocumentImages, type FoundImage, isTemplate } from './found-image.js'
import { htmlImages } from './html-images.js'

/** Front matter of site generators, which is not Markdown. */
const frontMatter = /^\ufeff?(---|\+\+\+)[ \t]*\r?\n[\s\S]*?\r?\n\1[ \t]*(\r?\n|$)/
/** What some writers put behind an image: `![](a.png){alt="..."}`. */
const attributesBehind = /^\{:?[^}\n]*\b(alt|role|aria-hidden|aria-label)=/

/** Images in the order of the text. */
export function markdownImages(text: string): DocumentImages {
  // The parser leaves out a byte order mark, and counts from what follows it.
  const marked = text.startsWith('\ufeff') ? 1 : 0
  const root = fromMarkdown(text.replace(frontMatter, blank).slice(marked))
  const { images, references, definitions, pieces } = nodesOf(root)
  const addresses = new Map(
    [...definitions].reverse().map(({ identifier, url }) => [identifier, url]),
  )
  const own = [
    ...images.map((node) => ({ node, src: node.url })),
    ...references.map((node) => ({ node, src: addresses.get(node.identifier) })),
  ]
  const found = own.flatMap(({ node, src }) => imageOf(text, node, src, marked) ?? [])
  const html = htmlImages(onlyPieces(text, pieces, marked))
  return {
    images: [...found, ...html.images].sort((a, b) => a.start - b.start),
    base: html.base,
  }
}

function imageOf(
  text: string,
  node: Image | ImageReference,
  src: string | undefined,
  marked: number,
): FoundImage | undefined {
  if (!node.position) return undefined
  const start = (node.position.start.offset ?? 0) + marked
  const end = (node.position.end.offset ?? 0) + marked
  const gap = /^!\[[ \t]*(?=\])/.exec(text.slice(start, end))?.[0]
  const isMissing =
    !node.alt?.trim() && gap !== undefined && !attributesBehind.test(text.slice(end))
  return {
    src,
    state: isTemplate(text.slice(start, end)) ? 'template' : isMissing ? 'missing' : 'present',
    line: node.position.start.line,
    column: node.position.start.column,
    start: start + '!['.length,
    end: start + (gap?.length ?? 0),
    altMarkup: escaped,
  }
}

function nodesOf(root: Root) {
  const images: Image[] = []
  const references: ImageReference[] = []
  const definitions: Definition[] = []
  const pieces: Html[] = []
  const visit = (node: Nodes) => {
    if (node.type === 'image') images.push(node)
    else if (node.type === 'imageReference') references.push(node)
    else if (node.type === 'definition') definitions.push(node)
    else if (node.type === 'html') pieces.push(node)
    if ('children' in node) for (const child of node.children) visit(child)
  }
  visit(root)
  return { images, references, definitions, pieces }
}

/** The HTML of a document where it stands, all else blank: tags of one piece may be closed in another. */
function onlyPieces(text: string, pieces: readonly Html[], marked: number): string {
  let at = 0
  let kept = ''
  for (const { position } of pieces) {
    const start = (position?.start.offset ?? 0) + marked
    const end = (position?.end.offset ?? 0) + marked
    kept += blank(text.slice(at, start)) + text.slice(start, end)
    at = end
  }
  return kept + blank(text.slice(at))
}

function blank(text: string): string {
  return text.replace(/[^\r\n]/g, ' ')
}

/** A backslash would not keep a backtick from ending a code span that begins before the image. */
function escaped(alt: string): string {
  return alt.replace(/[\\[\]*_<>&]/g, (character) => `\\${character}`).replaceAll('`', '&#96;')
}
