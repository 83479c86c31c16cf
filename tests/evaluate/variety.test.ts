/** Repetition, lengths, vocabulary and novelty of captions. */
import test from 'ava'
import { novelShare, varietyOf } from '../../ts/evaluate/variety.js'

const tokens = (text: string) => text.split(' ').filter(Boolean)

test('repeated word triples, by caption and of all', (t) => {
  const { repeatedCaptions, repeatedTrigrams } = varietyOf([
    tokens('a dog a dog a dog'),
    tokens('a dog on a dog on a dog on a mat'),
    tokens('a dog runs'),
    tokens('a dog'),
  ])
  t.is(repeatedCaptions, 2 / 4)
  // "a dog a" and "dog a dog" once more; of nine triples of the second four are different; one of the third.
  t.is(repeatedTrigrams, (2 + 5) / (4 + 9 + 1))
})

test('lengths, words and different ones', (t) => {
  const variety = varietyOf([tokens('a dog'), tokens('a dog'), tokens(''), tokens('a cat sleeps')])
  t.deepEqual(variety.lengths, [1, 0, 2, 1])
  t.is(variety.meanLength, 7 / 4)
  t.is(variety.vocabularyUsed, 4)
  t.is(variety.distinct, 3 / 4)
  t.is(variety.distinct1, 4 / 7)
  t.is(variety.distinct2, 3 / 4)
})

test('captions without any word', (t) => {
  const variety = varietyOf([[], []])
  t.like(variety, { distinct: 1 / 2, distinct1: 0, distinct2: 0, repeatedTrigrams: 0 })
  t.deepEqual(variety.lengths, [2])
})

test('a caption is novel when no training caption has the same tokens', (t) => {
  const captions = [tokens('a dog runs'), tokens('a cat runs')]
  t.is(novelShare(captions, ['A dog runs.', 'two cats']), 1 / 2)
  t.is(novelShare(captions, []), 1)
})
