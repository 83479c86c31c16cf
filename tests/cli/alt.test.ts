/** `captioneer alt`: a diff, documents written byte for byte, and a check for continuous integration. */
import { execFile } from 'node:child_process'
import { chmod, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import ava from 'ava'
import { temporaryFolder } from '../files/temporary-folder.js'
import { writePictures } from '../folders/pictures.js'
import { randomModelFolder } from '../models/random-folder.js'
import { cli } from './run-cli.js'

const test = ava.serial

const model = join(tmpdir(), `captioneer-alt-${process.pid}`)
test.before(() => randomModelFolder(model))
test.after.always(() => rm(model, { recursive: true, force: true }))

const page = Buffer.from(
  '\ufeff<!DOCTYPE html>\r\n<body class=a>\r\n<img src="img/a%20b.png">\r\n' +
    '<img src=/img/c.png class=x/><img src="img/c.png" alt=""><img src="http://x/y.png">\r\n' +
    '{{ content }}<img src="none.png">',
)
const post = Buffer.from('# Über\n\n![](img/a%20b.png) `![](img/c.png)`\n')

async function site(t: Parameters<typeof temporaryFolder>[0]): Promise<string> {
  const folder = await temporaryFolder(t)
  await writePictures(folder, ['img/a b.png', 'img/c.png'])
  await writeFile(join(folder, 'page.html'), page)
  await writeFile(join(folder, 'post.md'), post)
  await writeFile(join(folder, 'é x.htm'), '<p>caf\xe9<img src="img/c.png">\r\n\xff', 'latin1')
  return folder
}

test('proposes, and writes with --write, what a patch of it would', async (t) => {
  const [folder, other] = [await site(t), await site(t)]
  const words = ['alt', '.', '--model', model]
  const shown = await cli(words, { cwd: folder })
  t.is(shown.code, 0, shown.stderr)
  t.regex(shown.stdout, /^--- a\/page\.html\n\+\+\+ b\/page\.html\n@@/)
  t.regex(shown.stderr, /page\.html:4:\d+: http:\/\/x\/y\.png: .*nothing is fetched/)
  t.regex(shown.stderr, /page\.html:5:14: none\.png: .*no such file/)
  t.regex(shown.stderr, /3 documents with 7 images: 4 alt texts proposed, 2 images without/)
  t.deepEqual(await readFile(join(folder, 'page.html')), page, 'nothing is written')

  await chmod(join(folder, 'page.html'), 0o640)
  const written = await cli([...words, '--write', '--json'], { cwd: folder })
  t.is(written.code, 0, written.stderr)
  const { documents } = JSON.parse(written.stdout)
  t.deepEqual(
    documents.map(({ path, written: isWritten }: Record<string, unknown>) => [path, isWritten]),
    [
      ['page.html', true],
      ['post.md', true],
      ['é x.htm', true],
    ],
  )
  const [first, second] = documents[0].images
  t.regex(first.alt, /^Word\d/)
  const changed = await readFile(join(folder, 'page.html'), 'utf8')
  const places = [` alt="${first.alt}"`, ` alt="${second.alt}"`]
  t.is(
    places.reduce((text, alt) => text.replace(alt, ''), changed),
    page.toString(),
  )
  t.is(documents[1].images[0].alt, first.alt, 'one picture has one alt text')
  t.is((await stat(join(folder, 'page.html'))).mode & 0o777, 0o640)
  t.deepEqual(await readdir(folder), ['img', 'page.html', 'post.md', 'é x.htm'])

  const patch = join(other, 'alt.patch')
  await writeFile(patch, shown.bytes)
  await promisify(execFile)('git', ['apply', patch], { cwd: other })
  for (const name of ['page.html', 'post.md', 'é x.htm'])
    t.deepEqual(await readFile(join(other, name)), await readFile(join(folder, name)))

  const again = await cli([...words, '--write'], { cwd: folder })
  t.is(again.stdout, '', 'what is there is left alone')
})

test('a document that is named twice, or linked to, is written once', async (t) => {
  const folder = await site(t)
  await symlink('page.html', join(folder, 'link.html'))
  const words = ['alt', '.', 'link.html', './post.md', '--model', model, '--write', '--json']
  const { code, stdout, stderr } = await cli(words, { cwd: folder })
  t.is(code, 0, stderr)
  t.deepEqual(
    JSON.parse(stdout).documents.map(({ path }: { path: string }) => path),
    ['page.html', 'post.md', 'é x.htm'],
  )
})

test('--check lists what is missing without a model', async (t) => {
  const folder = await site(t)
  const { code, stdout, stderr } = await cli(['alt', 'post.md', 'page.html', '--check'], {
    cwd: folder,
  })
  t.is(code, 1)
  t.regex(stdout, /^post\.md:3:1: img\/a%20b\.png\npage\.html:3:1: /)
  t.is(stdout.split('\n').length, 6)
  t.regex(stderr, /5 without alt text/)
  await writeFile(join(folder, 'post.md'), '![dog](a.png)\n')
  const clean = await cli(['alt', 'post.md', '--check', '--json'], { cwd: folder })
  t.is(clean.code, 0)
  await writeFile(join(folder, 'wide.md'), Buffer.from('\ufeff![](a.png)', 'utf16le'))
  const unseen = await cli(['alt', 'post.md', 'wide.md', '--check'], { cwd: folder })
  t.is(unseen.code, 1, 'what cannot be read was not checked')
  t.deepEqual(JSON.parse(clean.stdout).documents[0].counts, {
    missing: 0,
    present: 1,
    decorative: 0,
    template: 0,
  })
})

test('other encodings, links, what a model is not sure of, and short alt texts', async (t) => {
  const folder = await site(t)
  const latin = Buffer.from('<p>caf\xe9<img src="img/c.png">\xff', 'latin1')
  await writeFile(join(folder, 'latin.html'), latin)
  await symlink('latin.html', join(folder, 'link.html'))
  await writeFile(join(folder, 'wide.html'), Buffer.from('\ufeff<img src=a.png>', 'utf16le'))
  const link = join(folder, 'link.html')
  const words = ['alt', link, join(folder, 'wide.html'), '--model', model, '--max-length=20']
  const unsure = await cli([...words, '--min-confidence=1'])
  t.is(unsure.code, 1)
  t.regex(unsure.stderr, /wide\.html is in UTF-16/)
  t.regex(unsure.stderr, /not proposed, confidence 0\.\d+/)
  t.is((await cli([...words, '--write'])).code, 0)
  const changed = await readFile(link, 'latin1')
  const alt = / alt="([^"]+)"/.exec(changed)
  t.true((alt?.[1]?.length ?? 21) <= 20)
  t.is(changed.replace(alt?.[0] ?? '', ''), latin.toString('latin1'))
  t.deepEqual(await readFile(join(folder, 'latin.html'), 'latin1'), changed, 'a link stays one')
})

test('wrong use', async (t) => {
  const folder = await site(t)
  const cases: [words: readonly string[], code: number, message: RegExp][] = [
    [['page.html'], 2, /expected --model/],
    [['page.html', '--check', '--write'], 2, /give one of them/],
    [['img/c.png', '--check'], 2, /neither HTML nor Markdown/],
    [['img', '--check'], 1, /holds no documents/],
    [['none.html', '--check'], 1, /none\.html: no such file/],
  ]
  for (const [words, code, message] of cases) {
    const result = await cli(['alt', ...words], { cwd: folder })
    t.is(result.code, code, words.join(' '))
    t.regex(result.stderr, message)
  }
})
