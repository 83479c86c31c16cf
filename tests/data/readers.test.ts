/** Every layout of data on a generated folder: what is found, its ids, captions and splits. */
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Dataset, readDataset } from '../../ts/data/dataset.js'
import { folderOf, pictures } from './folder.js'

const names = ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg']

function summary(dataset: Dataset): unknown[] {
  return dataset.images.map(({ id, captions, split }) => [id, captions, split])
}

function problems(dataset: Dataset): Record<string, number> {
  return Object.fromEntries(dataset.problems.map(({ kind, count }) => [kind, count]))
}

function layout(t: ExecutionContext, dataset: Dataset, expected: RegExp): void {
  t.regex(dataset.layout, expected)
}

test('Karpathy JSON: splits as given, restval trains, tokens where raw is missing', async (t) => {
  const image = (filename: string, split: string, sentences: unknown[]) => ({
    filename,
    split,
    sentences,
  })
  const folder = await folderOf(t, {
    ...pictures(names, 'images/'),
    'dataset_x.json': JSON.stringify({
      images: [
        image('a.jpg', 'train', [{ raw: 'A dog .' }, { tokens: ['two', 'dogs'] }]),
        image('b.jpg', 'restval', [{ raw: ' a  cat\n' }]),
        image('c.jpg', 'val', [{ raw: 'a bird' }]),
        image('d.jpg', 'test', [{ raw: 'a fish' }]),
        image('missing.jpg', 'test', [{ raw: 'one' }, { raw: 'two' }]),
        { split: 'train', sentences: [] },
      ],
    }),
  })
  const dataset = await readDataset(folder)
  layout(t, dataset, /^Karpathy/)
  t.deepEqual(summary(dataset), [
    ['a.jpg', ['A dog .', 'two dogs'], 'train'],
    ['b.jpg', ['a cat'], 'train'],
    ['c.jpg', ['a bird'], 'val'],
    ['d.jpg', ['a fish'], 'test'],
  ])
  t.deepEqual(problems(dataset), { 'captions without an image': 2, 'unreadable rows': 1 })
  t.is(dataset.images[0]?.path, join(folder, 'images/a.jpg'))
})

test('Karpathy JSON of COCO: cocoid is the id, filepath tells two files of one name apart', async (t) => {
  const folder = await folderOf(t, {
    ...pictures(['1.jpg'], 'train2014/'),
    ...pictures(['1.jpg'], 'val2014/'),
    'dataset_coco.json': JSON.stringify({
      images: ['val2014', 'train2014'].map((filepath, i) => ({
        filename: '1.jpg',
        filepath,
        cocoid: 391895 + i,
        split: i === 0 ? 'val' : 'train',
        sentences: [{ raw: `in ${filepath}` }],
      })),
    }),
  })
  const dataset = await readDataset(folder)
  t.deepEqual(
    dataset.images.map(({ id, path, split }) => [id, path, split]),
    [
      ['391895', join(folder, 'val2014/1.jpg'), 'val'],
      ['391896', join(folder, 'train2014/1.jpg'), 'train'],
    ],
  )
})

function cocoJson(ids: readonly number[], captions: readonly [number, unknown][]): string {
  const images = ids.map((id) => ({ id, file_name: `${id}.jpg` }))
  const annotations = captions.map(([image_id, caption], id) => ({ id, image_id, caption }))
  return JSON.stringify({ info: {}, images, annotations })
}

test('COCO captions: the split follows from the file, the image from its folder', async (t) => {
  const folder = await folderOf(t, {
    ...pictures(['1.jpg', '2.jpg'], 'train2017/'),
    ...pictures(['1.jpg', '3.jpg'], 'val2017/'),
    'annotations/captions_train2017.json': cocoJson(
      [1, 2],
      [
        [2, 'two'],
        [1, 'one'],
        [1, 'uno'],
        [9, 'nobody'],
        [1, 7],
      ],
    ),
    'annotations/captions_val2017.json': cocoJson([3], [[3, 'three']]),
    'annotations/instances_val2017.json': JSON.stringify({ annotations: [{ bbox: [] }] }),
  })
  for (const path of [folder, join(folder, 'annotations/captions_train2017.json')]) {
    const dataset = await readDataset(path, { valFraction: 0 })
    layout(t, dataset, /^COCO/)
    t.deepEqual(summary(dataset), [
      ['1', ['one', 'uno'], 'train'],
      ['2', ['two'], 'train'],
      ...(path === folder ? [['3', ['three'], 'val']] : []),
    ])
    t.is(dataset.images[0]?.path, join(folder, 'train2017/1.jpg'))
    t.is(problems(dataset)['captions without an image'], 1)
    t.is(problems(dataset)['unreadable rows'], 1)
  }
})

test('Flickr token file: the lists of images give the splits; images in no list are left out', async (t) => {
  const folder = await folderOf(t, {
    ...pictures(names, 'Flickr8k_Dataset/Flicker8k_Dataset/'),
    'Flickr8k_text/Flickr8k.token.txt': [
      'a.jpg#0\tA child , in a dress .',
      'a.jpg#1\tA "girl" .',
      'b.jpg#0\tb',
      'c.jpg#0\tc',
      'd.jpg#0\td',
      'broken.jpg.1#0\tnobody',
      'no separator',
    ].join('\n'),
    'Flickr8k_text/Flickr8k.lemma.token.txt': 'a.jpg#0\tA child be',
    'Flickr8k_text/Flickr_8k.trainImages.txt': 'a.jpg\n',
    'Flickr8k_text/Flickr_8k.devImages.txt': 'b.jpg\n',
    'Flickr8k_text/Flickr_8k.testImages.txt': 'c.jpg\n',
  })
  const dataset = await readDataset(folder)
  layout(t, dataset, /^Flickr token/)
  t.deepEqual(summary(dataset), [
    ['a.jpg', ['A child , in a dress .', 'A "girl" .'], 'train'],
    ['b.jpg', ['b'], 'val'],
    ['c.jpg', ['c'], 'test'],
  ])
  t.deepEqual(problems(dataset), {
    'captions without an image': 1,
    'images outside the given splits': 1,
    'unreadable rows': 1,
  })
})

test('Flickr results: the row without its comment is counted, the header is no row', async (t) => {
  const folder = await folderOf(t, {
    ...pictures(['a.jpg', 'b.jpg'], 'flickr30k_images/'),
    'results.csv': [
      'image_name| comment_number| comment',
      'a.jpg| 0| Two men , "one" up | and one down .',
      'a.jpg| 1| Men',
      'b.jpg| 4   A dog runs across the grass .',
      'b.jpg| 0| A dog .',
    ].join('\r\n'),
  })
  const dataset = await readDataset(folder, { valFraction: 0 })
  layout(t, dataset, /^Flickr results/)
  t.deepEqual(summary(dataset), [
    ['a.jpg', ['Two men , "one" up | and one down .', 'Men'], 'train'],
    ['b.jpg', ['A dog .'], 'train'],
  ])
  t.deepEqual(dataset.problems, [
    {
      kind: 'unreadable rows',
      count: 1,
      examples: [`${join(folder, 'results.csv')}:4: b.jpg| 4   A dog runs across the grass .`],
    },
  ])
})

test('Flickr results after cleaning: commas between the same three columns', async (t) => {
  const folder = await folderOf(t, {
    ...pictures(['a.jpg', 'b.jpg'], 'flickr30k_images/'),
    'results.csv': [
      'image_name,comment_number,comment',
      'a.jpg,0,two men stand  outside',
      'a.jpg,1,"a man, a dog"',
      'b.jpg,0,a dog runs',
    ].join('\n'),
  })
  const dataset = await readDataset(folder, { valFraction: 0 })
  t.deepEqual(summary(dataset), [
    ['a.jpg', ['two men stand outside', 'a man, a dog'], 'train'],
    ['b.jpg', ['a dog runs'], 'train'],
  ])
  t.deepEqual(dataset.problems, [])
})

test("EIR's captions.csv beside a folder of images: IDs are stems, kept as text, repeated for several captions", async (t) => {
  const ids = ['000000000009', '000000000034', '1e3']
  const folder = await folderOf(t, {
    ...pictures(
      ids.map((id) => `${id}.jpg`),
      'images/',
    ),
    'captions.csv': [
      'ID,Sequence',
      '000000000009,A plate of food.',
      '000000000034,A zebra in the Field.',
      '000000000009,"Food, on a plate."',
      '1e3,A horse',
      '000000099999,nobody',
    ].join('\n'),
  })
  const dataset = await readDataset(folder, { valFraction: 0 })
  t.deepEqual(summary(dataset), [
    ['000000000009', ['A plate of food.', 'Food, on a plate.'], 'train'],
    ['000000000034', ['A zebra in the Field.'], 'train'],
    ['1e3', ['A horse'], 'train'],
  ])
  t.is(dataset.images[0]?.path, join(folder, 'images/000000000009.jpg'))
  t.deepEqual(problems(dataset), { 'captions without an image': 1 })
})

test('captions.txt: quoted fields with commas, quotes and line ends; commas nobody quoted', async (t) => {
  const folder = await folderOf(t, {
    ...pictures(names, 'Images/'),
    'captions.txt': [
      'image,caption',
      'a.jpg,"A dog, running"',
      'a.jpg,"""Stop"" says',
      'a sign"',
      'b.jpg,one, two',
      'c.jpg',
      'd.jpg,"',
      'c.jpg,after a stray quote',
    ].join('\r\n'),
  })
  const dataset = await readDataset(folder, { valFraction: 0 })
  t.deepEqual(summary(dataset), [
    ['a.jpg', ['A dog, running', '"Stop" says a sign'], 'train'],
    ['b.jpg', ['one, two'], 'train'],
    ['d.jpg', ['"'], 'train'],
    ['c.jpg', ['after a stray quote'], 'train'],
  ])
  t.deepEqual(problems(dataset), { 'unreadable rows': 1 })
})

test('tables: ID,Sequence by stem; tabs; no header; JSON arrays and splits in columns', async (t) => {
  const tables: [string, string, unknown[]][] = [
    [
      'captions.csv',
      'ID,Sequence\na,one\nb,two\n',
      [
        ['a', ['one'], 'train'],
        ['b', ['two'], 'train'],
      ],
    ],
    ['x.tsv', 'caption\tfile_name\n"one, two"\ta.jpg\n', [['a.jpg', ['one, two'], 'train']]],
    [
      'captions.txt',
      'a.jpg,one\nb.jpg,two\n',
      [
        ['a.jpg', ['one'], 'train'],
        ['b.jpg', ['two'], 'train'],
      ],
    ],
    [
      'flickr.csv',
      'raw,sentids,split,filename\n"[""one"", ""two""]","[0, 1]",test,a.jpg\n"[""three""]",[2],val,b.jpg\n',
      [
        ['a.jpg', ['one', 'two'], 'test'],
        ['b.jpg', ['three'], 'val'],
      ],
    ],
  ]
  for (const [name, text, expected] of tables) {
    const folder = await folderOf(t, { ...pictures(['a.jpg', 'b.jpg'], 'train/'), [name]: text })
    t.deepEqual(summary(await readDataset(folder, { valFraction: 0 })), expected, name)
  }
})

test('JSON lines: metadata.jsonl in the folder of each split; captions under any usual key', async (t) => {
  const folder = await folderOf(t, {
    ...pictures(['0.jpg'], 'train/'),
    ...pictures(['0.jpg'], 'validation/'),
    ...pictures(['deep/0.png', '1.jpg', '2.jpg'], 'test/'),
    'train/metadata.jsonl':
      '{"file_name": "0.jpg", "text": "one"}\n\n{"text": "no image"}\nnot json\n',
    'validation/metadata.jsonl': '{"image": "0.jpg", "captions": ["two", "deux"]}',
    'test/metadata.jsonl':
      '{"file_name": "deep/0.png", "caption": "three"}\n{"file_name": "./1", "caption": "four"}\n{"file_name": "2.jpg"}',
  })
  const dataset = await readDataset(folder)
  layout(t, dataset, /^JSON lines/)
  t.deepEqual([...dataset.images].map(({ id, captions, split }) => [id, captions, split]).sort(), [
    ['test/1', ['four'], 'test'],
    ['test/deep/0.png', ['three'], 'test'],
    ['train/0.jpg', ['one'], 'train'],
    ['validation/0.jpg', ['two', 'deux'], 'val'],
  ])
  t.deepEqual(problems(dataset), { 'unreadable rows': 2, 'images without captions': 1 })
})

test('sidecars: a caption a line, nested folders, images without a text file counted', async (t) => {
  const folder = await folderOf(t, {
    ...pictures(['a.jpg', 'b.PNG', 'bare.jpg', 'blank.jpg', 'holiday/a.jpg']),
    'a.txt': 'one\n\n  two  \r\n',
    'b.txt': 'three',
    'blank.txt': '\n',
    'holiday/a.txt': 'four',
    'README.txt': 'not a caption',
  })
  const dataset = await readDataset(folder, { valFraction: 0 })
  layout(t, dataset, /sidecars/)
  t.deepEqual(summary(dataset), [
    ['a.jpg', ['one', 'two'], 'train'],
    ['b.PNG', ['three'], 'train'],
    ['holiday/a.jpg', ['four'], 'train'],
  ])
  t.deepEqual(problems(dataset), { 'images without captions': 2 })
})

test('a named captions file and a named images folder are used instead of those found', async (t) => {
  const folder = await folderOf(t, {
    ...pictures(['a.jpg'], 'data/images/'),
    ...pictures(['a.jpg', 'extra.jpg'], 'elsewhere/'),
    'data/captions.csv': 'image,caption\na.jpg,the wrong one\n',
    'data/notes/mine': 'image,caption\na.jpg,mine\n',
  })
  const dataset = await readDataset(join(folder, 'data'), {
    captionsFile: 'notes/mine',
    imagesFolder: '../elsewhere',
    valFraction: 0,
  })
  t.deepEqual(dataset.images[0]?.captions, ['mine'])
  t.is(dataset.images[0]?.path, join(folder, 'elsewhere/a.jpg'))
  t.deepEqual(problems(dataset), { 'images without captions': 1 })
})
