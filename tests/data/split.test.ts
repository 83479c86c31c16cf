/** Splits by hash: near the fraction, moved by the seed, never by other images. */
import test from 'ava'
import { assignSplits, splitNamed, splitOfPath, strictest } from '../../ts/data/split.js'

type Open = { id: string; split: 'train' | 'val' | 'test' | undefined }
const open = (count: number): Open[] =>
  Array.from({ length: count }, (_, i) => ({ id: `photo-${i}.jpg`, split: undefined }))

test('adding, removing and reordering images moves no other image', (t) => {
  for (let seed = 0; seed < 50; seed++) {
    const options = { seed, valFraction: 0.2 }
    const few = assignSplits(open(100), options)
    const many = new Map(
      assignSplits(open(300).reverse(), options).map((image) => [image.id, image.split]),
    )
    for (const { id, split } of few) t.is(many.get(id), split)
  }
})

test('the share held out is near the fraction, and another for another seed', (t) => {
  const val = (seed: number, valFraction: number) =>
    assignSplits(open(5000), { seed, valFraction }).filter((image) => image.split === 'val')
  for (const fraction of [0, 0.1, 0.5]) {
    // Four standard deviations of a binomial count.
    const slack = 4 * Math.sqrt(5000 * fraction * (1 - fraction))
    t.true(Math.abs(val(7, fraction).length - 5000 * fraction) <= slack, `${fraction}`)
  }
  t.notDeepEqual(val(1, 0.1), val(2, 0.1))
  t.deepEqual(val(1, 0.1), val(1, 0.1))
})

test('given splits stay; val is held out from train only where the data name none', (t) => {
  const images: Open[] = open(400).map((image, i) => ({
    ...image,
    split: i % 2 ? 'train' : 'test',
  }))
  const withoutVal = assignSplits(images, { seed: 0, valFraction: 0.5 })
  t.true(withoutVal.every(({ split }, i) => (i % 2 ? split !== 'test' : split === 'test')))
  t.true(withoutVal.some(({ split }) => split === 'val'))
  const withVal: Open[] = [...images, { id: 'v', split: 'val' }]
  t.deepEqual(assignSplits(withVal, { seed: 0, valFraction: 0.5 }), withVal as never)
})

test('names of splits', (t) => {
  t.is(splitNamed('restval'), 'train')
  t.is(splitNamed('Validation'), 'val')
  t.is(splitNamed('val2017'), 'val')
  t.is(splitNamed('constructor'), undefined)
  t.is(splitOfPath('annotations/captions_train2017.json'), 'train')
  t.is(splitOfPath('test/metadata.jsonl'), 'test')
  t.is(splitOfPath('test tubes/captions.csv'), undefined)
  t.is(splitOfPath('metadata.jsonl'), undefined)
  t.is(strictest('train', 'test'), 'test')
  t.is(strictest(undefined, 'train'), 'train')
  t.is(strictest(undefined, undefined), undefined)
})
