/** Rows are read back as they were written, and what a killed process cut off is left out. */
import { join } from 'node:path'
import test from 'ava'
import { rowFormats } from '../../ts/folders/rows.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { writePictures } from './pictures.js'

const captions = [
  { text: 'a "dog", running', score: -1.25 },
  { text: '<b>&', score: -2 },
]
const images = ['a/b, c.jpg', `it's "1".jpg`, '<&>é.jpg']

for (const [name, format] of Object.entries(rowFormats)) {
  test(`${name}: every cut of the file gives back the whole rows before it`, async (t) => {
    const folder = await temporaryFolder(t)
    await writePictures(folder, ['a.png'])
    const rows: string[] = []
    for (const image of images)
      rows.push(await format.write({ image, path: join(folder, 'a.png'), captions }))
    const all = format.read(rows.join(''))
    t.deepEqual([...all.images], images)
    t.is(all.rows, rows.join(''))
    const step = name === 'html' ? 97 : 1
    for (let cut = 0; cut < rows.join('').length; cut += step) {
      const { rows: kept, images: found } = format.read(rows.join('').slice(0, cut))
      t.true(rows.join('').startsWith(kept), `${cut}: ${kept}`)
      t.true(kept === '' || kept.endsWith('\n'))
      t.true([...found].every((image) => images.includes(image)))
      const whole = rows.filter((_, i) => rows.slice(0, i + 1).join('').length <= cut).length
      t.true(found.size >= whole, `${cut}`)
    }
    const file = format.read(format.file('', rows.join('')))
    t.deepEqual([...file.images].sort(), [...images].sort())
    t.false(file.foreign)
  })
}

test('files of something else are told apart', (t) => {
  t.true(rowFormats.jsonl.read('{"a":1}\n{"b":2}\n').foreign)
  t.true(rowFormats.csv.read('name;price\napple;3\n').foreign)
  t.true(rowFormats.html.read('<!doctype html><p>hello').foreign)
  for (const format of Object.values(rowFormats)) t.false(format.read('').foreign)
  t.false(rowFormats.csv.read('image,capt').foreign, 'the beginning of our own')
})

test('a last row that someone saved without a line break stays', (t) => {
  const { rows, images: found } = rowFormats.jsonl.read('{"image":"a.jpg","caption":"mine"}')
  t.is(rows, '{"image":"a.jpg","caption":"mine"}\n')
  t.deepEqual([...found], ['a.jpg'])
  t.is(
    rowFormats.csv.read('image,caption,score\r\na.jpg,mine,-1.2500').rows,
    'a.jpg,mine,-1.2500\n',
  )
})

test('a page shows pictures, captions and links, in natural order', async (t) => {
  const folder = await temporaryFolder(t)
  await writePictures(folder, ['p 10.png', 'p 2.png'])
  const rows = []
  for (const image of ['p 10.png', 'p 2.png'])
    rows.push(await rowFormats.html.write({ image, path: join(folder, image), captions }))
  const page = rowFormats.html.file('', rows.join(''))
  t.true(page.indexOf('href="p%202.png"') < page.indexOf('href="p%2010.png"'))
  t.true(page.indexOf('href="p%202.png"') > 0)
  t.regex(page, /<img src="data:image\/jpeg;base64,/)
  t.regex(page, /&#60;b&#62;&#38;/, 'text is not markup')
  t.false(/<script/.test(page))
})
