import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { resolveImage } from '../../ts/alt/resolve-image.js'
import { temporaryFolder } from '../files/temporary-folder.js'

const options = { document: '/docs/page.html', base: undefined, root: undefined }
const path = (src: string, more: object = {}) => {
  const found = resolveImage(src, { ...options, ...more })
  return 'path' in found ? found.path : found.reason
}

test('relative to the document, to the root, to the base', (t) => {
  t.is(path('a.png'), '/docs/a.png')
  t.is(path(' ../a%20b.png?v=1#x '), '/a b.png')
  t.is(path('/img/a.png', { root: '/site' }), '/site/img/a.png')
  t.is(path('/../../etc/a.png', { root: '/site' }), '/site/etc/a.png')
  t.is(path('a.png', { base: 'img/' }), '/docs/img/a.png')
  t.is(path('a.png', { base: '/img/x.html', root: '/site' }), '/site/img/a.png')
})

test('a file that really has such a name is found', async (t) => {
  const folder = await temporaryFolder(t)
  for (const name of ['100%.png', 'a?b.png', 'c%20d.png']) await writeFile(join(folder, name), '')
  const document = join(folder, 'page.md')
  for (const name of ['100%.png', 'a?b.png', 'c%20d.png'])
    t.is(path(name, { document }), join(folder, name))
})

test('nothing is fetched', (t) => {
  for (const src of ['http://x/a.png', 'HTTPS://x/a.png', '//x/a.png', '\\\\x\\a.png'])
    t.regex(path(src), /nothing is fetched/, src)
  t.regex(path('a.png', { base: 'https://x/' }), /nothing is fetched/)
  t.regex(path('data:image/png;base64,x'), /part of the document/)
  t.regex(path('file:///etc/a.png'), /addresses with file: are not read/)
  t.regex(path('javascript:x'), /are not read/)
  t.regex(path('/a.png'), /give --root/)
  t.regex(path(''), /no address/)
})
