/** Captions that are longer than the model has positions for. */
import test from 'ava'
import { tokenizeCaptions } from '../../ts/data/batches.js'
import { trainWordTokenizer } from '../../ts/tokenizer/word.js'

test('long captions are cut, or left out where the image has others', (t) => {
  const captions = ['a dog', 'a dog runs far away', 'a dog runs']
  const tokenizer = trainWordTokenizer(captions, { minCount: 1, maxSize: 100 })
  const image = (...all: string[]) => ({
    id: 'x',
    path: 'x',
    captions: all,
    split: 'train' as const,
  })
  const images = [image(...captions), image('a dog runs far away')]
  const lengths = (long: 'cut' | 'drop') =>
    tokenizeCaptions(images, tokenizer, 4, long).map((all) => all.map(({ length }) => length))
  t.deepEqual(lengths('cut'), [[2, 3, 3], [3]])
  t.deepEqual(lengths('drop'), [[2, 3], [3]])
})
