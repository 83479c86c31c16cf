/** Faults of data sets, and the promise that no image is in two splits. */
import { existsSync } from 'node:fs'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { readDataset, splitOf } from '../../ts/data/dataset.js'
import { ArgumentError, DataError } from '../../ts/errors.js'
import { folderOf, pictures } from './folder.js'

test('faults are counted, five examples of each kept, and the rest is used', async (t) => {
  const missing = Array.from({ length: 8 }, (_, i) => `missing${i}.jpg,a caption\n`).join('')
  const folder = await folderOf(t, {
    ...pictures(['a.jpg', 'b.jpg', 'bare.jpg'], 'images/'),
    'captions.csv': `image,caption\na.jpg,one\na.jpg,one\nb.jpg,\nonly-one-field\n${missing}`,
  })
  const { images, problems } = await readDataset(folder)
  t.deepEqual(
    images.map(({ id, captions }) => [id, captions]),
    [['a.jpg', ['one', 'one']]],
  )
  t.deepEqual(
    problems.map(({ kind, count, examples }) => [kind, count, examples.length]),
    [
      ['captions without an image', 8, 5],
      ['images without captions', 2, 2],
      ['duplicate captions', 1, 1],
      ['empty captions', 1, 1],
      ['unreadable rows', 1, 1],
    ],
  )
})

test('encodings: byte order marks are understood, bytes that are not UTF-8 read as Windows-1252', async (t) => {
  const text = 'image,caption\na.jpg,un café\nb.jpg,naïve\n'
  const utf16 = Buffer.from(`\ufeff${text}`, 'utf16le')
  const encodings: [string, Uint8Array, number][] = [
    ['UTF-8', Buffer.from(text), 0],
    ['UTF-8 with mark', Buffer.from(`\ufeff${text}`), 0],
    ['UTF-16', utf16, 0],
    ['UTF-16, big end first', Buffer.from(utf16).swap16(), 0],
    ['Windows-1252', Buffer.from(text, 'latin1'), 2],
    [
      'mixed',
      Buffer.concat([Buffer.from(text.slice(0, 27)), Buffer.from(text.slice(27), 'latin1')]),
      1,
    ],
  ]
  for (const [name, bytes, wrong] of encodings) {
    const folder = await folderOf(t, { ...pictures(['a.jpg', 'b.jpg']), 'captions.csv': bytes })
    const { images, problems } = await readDataset(folder)
    t.deepEqual(
      images.map((image) => image.captions[0]),
      ['un café', 'naïve'],
      name,
    )
    t.is(problems.find(({ kind }) => kind === 'wrong encoding')?.count ?? 0, wrong, name)
  }
})

test('nothing usable: DataError with the reasons and the layouts', async (t) => {
  const empty = await folderOf(t, {})
  const bare = await folderOf(t, pictures(['a.jpg']))
  const broken = await folderOf(t, {
    ...pictures(['a.jpg']),
    'dataset_a.json': '{"images": [{"filename": "a.jpg", "sentences": [',
    'captions.csv': 'image,caption\nb.jpg,a bird\n',
  })
  for (const folder of [empty, bare, broken, join(broken, 'a.jpg')]) {
    const error = await t.throwsAsync(readDataset(folder), {
      instanceOf: DataError,
      code: 'ERR_DATA',
    })
    for (const layout of [
      'Karpathy',
      'COCO',
      'token',
      'results*.csv',
      'JSON lines',
      'captions.txt',
      'sidecars',
    ]) {
      t.true(error.message.includes(layout), layout)
    }
    t.is(/1 unreadable files \(.*dataset_a\.json: /.test(error.message), folder === broken)
    t.is(/1 captions without an image \(b\.jpg: a bird\)/.test(error.message), folder === broken)
  }
})

test('a path that does not exist: DataError; wrong options: ArgumentError', async (t) => {
  await t.throwsAsync(readDataset('/no/such/folder'), {
    instanceOf: DataError,
    message: 'reading data from "/no/such/folder": no such file or folder',
  })
  const folder = await folderOf(t, pictures(['a.jpg']))
  await t.throwsAsync(readDataset(folder, { imagesFolder: 'nowhere' }), { instanceOf: DataError })
  await t.throwsAsync(readDataset(folder, { captionsFile: 'nowhere.csv' }), {
    instanceOf: DataError,
    message: /nowhere\.csv/,
  })
  await t.throwsAsync(readDataset(folder, { valFraction: 1 }), {
    instanceOf: ArgumentError,
    message: 'readDataset: expected valFraction to be a number from 0 to below 1, received 1',
  })
  await t.throwsAsync(readDataset(folder, { seed: 0.5 }), { instanceOf: ArgumentError })
})

test('no image is in two splits, by id, by name or by link, whatever the seed', async (t) => {
  const names = Array.from({ length: 60 }, (_, i) => `${i}.jpg`)
  const rows = names.flatMap((name, i) => [
    { file_name: name, text: 'first' },
    { file_name: `./${name}`, text: 'second', split: ['train', 'val', 'test', undefined][i % 4] },
    { file_name: name.replace('.jpg', ''), text: 'third', split: ['val', 'train'][i % 5] },
    { file_name: `link${name}`, text: 'fourth', split: ['test', 'train'][i % 7] },
    { file_name: `../linked/${name}`, text: 'fifth' },
  ])
  const folder = await folderOf(t, {
    ...pictures(names, 'images/'),
    'images/metadata.jsonl': rows.map((row) => JSON.stringify(row)).join('\n'),
  })
  await symlink(join(folder, 'images'), join(folder, 'linked'))
  for (const name of names)
    await symlink(join(folder, 'images', name), join(folder, `images/link${name}`))
  for (let seed = 0; seed < 20; seed++) {
    const dataset = await readDataset(folder, { seed, valFraction: 0.3 })
    const ids = dataset.images.map((image) => image.id)
    t.is(new Set(ids).size, ids.length)
    t.is(new Set(dataset.images.map((image) => image.path)).size, names.length)
    t.is(dataset.images.length, names.length)
    t.true(dataset.images.every((image) => image.captions.length === 5))
    const byId = new Map(dataset.images.map((image) => [image.id, image.split]))
    t.is(byId.get('images/2.jpg'), 'test')
    t.is(byId.get('images/0.jpg'), 'test', 'its rows say train, val and test')
    t.is(byId.get('images/1.jpg'), 'val', 'its rows say val and train')
  }
})

const flickr8k = '../shared/data/flickr8k'

test('Flickr8k: 6,000 train, 1,000 val, 35,000 captions', async (t) => {
  if (!existsSync(flickr8k)) {
    t.log(`skipped: no ${flickr8k} here`)
    return t.pass()
  }
  const dataset = await readDataset(flickr8k)
  t.is(splitOf(dataset, 'train').length, 6000)
  t.is(splitOf(dataset, 'val').length, 1000)
  t.is(splitOf(dataset, 'test').length, 0)
  t.is(
    dataset.images.reduce((sum, image) => sum + image.captions.length, 0),
    35000,
  )
  t.deepEqual(
    dataset.problems.map(({ kind, count }) => [kind, count]),
    [['duplicate captions', 9]],
  )
})
