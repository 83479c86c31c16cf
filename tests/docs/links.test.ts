/** Links of the documents: files and headings that they name exist, and every page is reached from the README. */
import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import test from 'ava'
import { packageRoot } from '../../ts/native.js'
import { allPages } from './pages.js'

const pages = allPages()
const byPath = new Map(pages.map((page) => [page.path, page]))

/** What a link of a page names; undefined for addresses elsewhere. */
function targetOf(page: string, url: string): { path: string; anchor: string } | undefined {
  if (/^[a-z][a-z+.-]*:/i.test(url)) return undefined
  const [file = '', anchor = ''] = url.split('#')
  const path = file === '' ? page : normalize(join(dirname(page), decodeURIComponent(file)))
  return { path, anchor }
}

test('every link names a file and a heading that are there', (t) => {
  const wrong = pages.flatMap(({ path: page, links }) =>
    links.flatMap(({ place, url }) => {
      const target = targetOf(page, url)
      if (target === undefined) return []
      const { path, anchor } = target
      if (!existsSync(join(packageRoot, path))) return [`${place}: there is no ${path}`]
      if (anchor === '' || byPath.get(path)?.anchors.has(anchor)) return []
      return [`${place}: ${path} has no heading #${anchor}`]
    }),
  )
  t.deepEqual(wrong, [])
  t.true(pages.flatMap(({ links }) => links).length > 100)
})

test('addresses elsewhere are encrypted, or on this machine', (t) => {
  const plain = pages.flatMap(({ links }) =>
    links.filter(({ url }) => /^http:\/\/(?!127\.)/.test(url)),
  )
  t.deepEqual(plain, [])
})

test('every page of docs/ is reached from docs/README.md, and that from the README', (t) => {
  const reachable = (start: string) => {
    const reached = new Set([start])
    for (const path of reached)
      for (const { url } of byPath.get(path)?.links ?? []) {
        const target = targetOf(path, url)?.path
        if (target !== undefined && byPath.has(target)) reached.add(target)
      }
    return reached
  }
  const lost = (from: string) =>
    [...byPath.keys()].filter((path) => path.startsWith('docs/') && !reachable(from).has(path))
  t.deepEqual(lost('docs/README.md'), [])
  t.deepEqual(lost('README.md'), [])
})

test('an anchor is what GitHub makes of a heading', (t) => {
  const numbers = byPath.get('docs/numbers.md')?.anchors
  t.true(numbers?.has('real-photographs-flickr8k-2026-11-21'))
  t.true(byPath.get('docs/tokenizer.md')?.anchors.has('tokenizerjson'))
})
