/** The Markdown pages of this repository as its tests see them: headings, links, blocks of code. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromMarkdown } from 'mdast-util-from-markdown'
import { packageRoot } from '../../ts/native.js'

/** Of mdast's nodes what is read here. */
interface Node {
  readonly type: string
  readonly value?: string | undefined
  readonly url?: string | undefined
  readonly lang?: string | null | undefined
  readonly children?: readonly Node[] | undefined
  readonly position?: { readonly start: { readonly line: number } } | undefined
}

export interface Block {
  /** `docs/gpu.md:12`, where its code begins. */
  readonly place: string
  readonly language: string
  readonly code: string
}

export interface Page {
  /** From the repository's root. */
  readonly path: string
  /** What GitHub calls its headings in addresses. */
  readonly anchors: ReadonlySet<string>
  readonly links: readonly { readonly place: string; readonly url: string }[]
  readonly blocks: readonly Block[]
  /** Code within a line. */
  readonly inlineCode: readonly string[]
  readonly text: string
}

/** Every page that users read, README first. */
export function allPages(): Page[] {
  const docs = readdirSync(join(packageRoot, 'docs'), { recursive: true, encoding: 'utf8' })
  const pages = docs.filter((name) => name.endsWith('.md')).map((name) => join('docs', name))
  return ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...pages.sort()].map(pageOf)
}

function pageOf(path: string): Page {
  const text = readFileSync(join(packageRoot, path), 'utf8')
  const nodes = [...allOf(fromMarkdown(text))]
  const placeOf = (node: Node) => `${path}:${node.position?.start.line}`
  const slugs = new Map<string, number>()
  const anchors = nodes
    .filter(({ type }) => type === 'heading')
    .map((heading) => {
      const slug = slugOf(textOf(heading))
      const before = slugs.get(slug) ?? 0
      slugs.set(slug, before + 1)
      return before === 0 ? slug : `${slug}-${before}`
    })
  return {
    path,
    text,
    anchors: new Set(anchors),
    links: nodes.flatMap((node) =>
      node.url === undefined ? [] : [{ place: placeOf(node), url: node.url }],
    ),
    blocks: nodes
      .filter(({ type }) => type === 'code')
      .map((node) => ({
        place: placeOf(node),
        language: node.lang ?? '',
        code: node.value ?? '',
      })),
    inlineCode: nodes.flatMap(({ type, value }) => (type === 'inlineCode' ? [value ?? ''] : [])),
  }
}

function* allOf(node: Node): Generator<Node> {
  yield node
  for (const child of node.children ?? []) yield* allOf(child)
}

function textOf(node: Node): string {
  return [...allOf(node)].map(({ value }) => value ?? '').join('')
}

function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-')
}
