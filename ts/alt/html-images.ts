/** Images of an HTML document, or of the HTML in a Markdown document. */
import { type DefaultTreeAdapterTypes, parse } from 'parse5'
import { type AltState, type DocumentImages, type FoundImage, isTemplate } from './found-image.js'

type Node = DefaultTreeAdapterTypes.Node
type Element = DefaultTreeAdapterTypes.Element

/** What frameworks call an alt text that a program fills in, and names that screen readers read instead. */
const NAMES = [
  'alt',
  ':alt',
  'v-bind:alt',
  'x-bind:alt',
  'bind:alt',
  '[alt]',
  '[attr.alt]',
  'ng-attr-alt',
  'aria-label',
  'aria-labelledby',
]

/**
 * Images in the order of the text. In comments, scripts and text there are none. Parts in a template language count as
 * plain characters, so that what stands in them is not taken for HTML.
 */
export function htmlImages(text: string): DocumentImages {
  const images: FoundImage[] = []
  let base: string | undefined
  const visit = (node: Node, hidden: boolean) => {
    const isHidden = hidden || ('attrs' in node && attribute(node, 'aria-hidden') === 'true')
    if ('tagName' in node && node.tagName === 'base') base ??= attribute(node, 'href')
    if ('tagName' in node && node.tagName === 'img') {
      const found = imageOf(text, node, isHidden)
      if (found) images.push(found)
    }
    if ('content' in node) visit(node.content, isHidden)
    if ('childNodes' in node) for (const child of node.childNodes) visit(child, isHidden)
  }
  // Without scripting, so that what stands in <noscript> is parsed, too.
  visit(parse(plain(text), { sourceCodeLocationInfo: true, scriptingEnabled: false }), false)
  // Tables put what does not belong into them before them.
  return { images: images.sort((a, b) => a.start - b.start), base }
}

function imageOf(text: string, element: Element, hidden: boolean): FoundImage | undefined {
  const location = element.sourceCodeLocation
  if (!location) return undefined
  const source = text.slice(location.startOffset, location.endOffset)
  // The parser makes an img of <image>, too.
  if (!/^<img[\s/>]/i.test(source)) return undefined
  const lazy = attribute(element, 'data-src')
  const direct = attribute(element, 'src')
  const isLazy = lazy !== undefined && (direct === undefined || direct.startsWith('data:'))
  const place = location.attrs?.[isLazy ? 'data-src' : 'src']
  const end = place?.endOffset ?? location.startOffset + '<img'.length
  return {
    src: isLazy ? lazy : direct,
    state: stateOf(element, source, hidden),
    line: location.startLine,
    column: location.startCol,
    start: end,
    end,
    altMarkup: (alt) => ` alt="${escaped(alt)}"`,
  }
}

function stateOf(element: Element, source: string, hidden: boolean): AltState {
  const role = attribute(element, 'role')
  if (hidden || role === 'presentation' || role === 'none') return 'decorative'
  const alt = attribute(element, 'alt')
  if (alt === '') return 'decorative'
  if (element.attrs.some(({ name }) => NAMES.includes(name))) return 'present'
  if (isTemplate(source) || attribute(element, 'src')?.startsWith('{')) return 'template'
  // Images of one dot count visits.
  const isDot = ['width', 'height'].every((side) =>
    /^[01](px)?$/.test(attribute(element, side) ?? ''),
  )
  return isDot ? 'decorative' : 'missing'
}

function attribute(element: Pick<Element, 'attrs'>, name: string): string | undefined {
  return element.attrs.find((entry) => entry.name === name)?.value
}

/** As long as the text, with line breaks where it has them. */
function plain(text: string): string {
  const parts =
    /<\?[\s\S]{0,5000}?\?>|<%[\s\S]{0,5000}?%>|\{\{[\s\S]{0,500}?\}\}|\{%[\s\S]{0,500}?%\}|\{#[\s\S]{0,500}?#\}/g
  return text.replace(parts, (part) => part.replace(/[^\r\n]/g, 'x'))
}

function escaped(alt: string): string {
  const references: Record<string, string> = {
    '&': '&amp;',
    '"': '&quot;',
    '<': '&lt;',
    '>': '&gt;',
    // In Markdown it could end a code span that begins before the image.
    '`': '&#96;',
  }
  return alt.replace(/[&"<>`]/g, (character) => references[character] ?? character)
}
