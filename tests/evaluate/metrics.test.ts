/** BLEU, ROUGE-L and CIDEr-D on cases small enough to work out by hand. */

import test, { type ExecutionContext } from 'ava'
import { bleu } from '../../ts/evaluate/bleu.js'
import { cider, documentFrequencies } from '../../ts/evaluate/cider.js'
import { ngramCounts, type TokenizedImage } from '../../ts/evaluate/ngrams.js'
import { rougeL } from '../../ts/evaluate/rouge-l.js'

function image(candidate: string, ...references: string[]): TokenizedImage {
  const words = (text: string) => text.split(' ').filter((word) => word !== '')
  return { candidate: words(candidate), references: references.map(words) }
}

function near(t: ExecutionContext, actual: number | undefined, expected: number): void {
  t.true(Math.abs((actual ?? Number.NaN) - expected) < 1e-8, `${actual} is not ${expected}`)
}

test('BLEU clips matches by the reference that has most (Papineni et al., example 2)', (t) => {
  const { bleu: scores, counts } = bleu([
    image('the the the the the the the', 'the cat is on the mat', 'there is a cat on the mat'),
  ])
  t.deepEqual(counts, { testlen: 7, reflen: 7, guess: [7, 6, 5, 4], correct: [2, 0, 0, 0] })
  near(t, scores[0], 2 / 7)
})

test('BLEU is the geometric mean of precisions', (t) => {
  // 4 of 5 words, 2 of 4 pairs, 1 of 3 triples
  const { bleu: scores, counts } = bleu([image('a b c x d', 'a b c d e')])
  t.deepEqual(counts.correct, [4, 2, 1, 0])
  near(t, scores[0], 0.8)
  near(t, scores[1], Math.sqrt(0.8 * 0.5))
  near(t, scores[2], Math.cbrt((0.8 * 0.5) / 3))
})

test('BLEU takes the nearest reference length, the shorter on a tie, and punishes short captions', (t) => {
  t.is(bleu([image('a b c d e', 'a b c d e f', 'a b c d')]).counts.reflen, 4)
  t.is(bleu([image('a b c d e', 'a b', 'a b c d e f g')]).counts.reflen, 7)
  near(t, bleu([image('a b', 'a b c d')]).bleu[0], Math.exp(1 - 4 / 2))
})

test('BLEU adds counts over images before it divides', (t) => {
  const {
    bleu: scores,
    counts,
    perImage,
  } = bleu([image('a b', 'a b'), image('c d e f', 'c x y z')])
  t.deepEqual(counts, { testlen: 6, reflen: 6, guess: [6, 4, 2, 1], correct: [3, 1, 0, 0] })
  near(t, scores[0], 1 / 2)
  near(t, perImage[0]?.bleu[0], 1)
  near(t, perImage[1]?.bleu[0], 1 / 4)
})

test('BLEU has no smoothing: three right words score (1e-15 / 1e-9)^(1/4) in BLEU-4', (t) => {
  t.true(Math.abs((bleu([image('a b c', 'a b c')]).bleu[3] ?? 0) - 0.0316227766) < 1e-9)
})

test('an empty caption scores 0 everywhere', (t) => {
  const images = [image('', 'a b c d'), image('c d', 'c d')]
  t.is(bleu(images).perImage[0]?.bleu[0], 0)
  t.is(rougeL(images).perImage[0], 0)
  t.is(cider(images).perImage[0], 0)
})

test('ROUGE-L: longest common subsequence, recall weighted 1.2', (t) => {
  near(t, rougeL([image('police kill the gunman', 'police killed the gunman')]).mean, 0.75)
  // P = 2/2, R = 2/4
  near(t, rougeL([image('a b', 'a b c d')]).mean, (2.44 * 0.5) / (0.5 + 1.44))
  // in order, not next to each other
  near(t, rougeL([image('a x b y c', 'a b c z z')]).mean, 0.6)
})

test('ROUGE-L takes precision and recall from different references', (t) => {
  near(t, rougeL([image('a b c d', 'a b', 'a b c d e f g h')]).mean, 1)
  const { mean, perImage } = rougeL([image('a', 'a'), image('a', 'b')])
  t.deepEqual(perImage, [1, 0])
  t.is(mean, 0.5)
})

test('CIDEr: cosine of tf-idf per order, mean over four orders, times 10', (t) => {
  const { mean, perImage } = cider([image('a b', 'a b'), image('c d', 'c e')])
  near(t, perImage[0], (10 * (1 + 1)) / 4)
  near(t, perImage[1], (10 * 0.5) / 4)
  near(t, mean, 3.125)
})

test('CIDEr: n-grams that all images share weigh nothing; references are averaged', (t) => {
  const { perImage } = cider([image('a b', 'a b', 'a c'), image('a x', 'a y')])
  // of the first reference: b alone and "a b"; of the second: nothing but "a"
  near(t, perImage[0], (10 * (1 + 1)) / 4 / 2)
  near(t, perImage[1], 0)
})

test('CIDEr-D clips repeated words and punishes a difference in length', (t) => {
  // tf 2 against 1 gives cosine 1 unclipped and 1/2 clipped; lengths are 1 and 0 bigrams
  const { perImage } = cider([image('a a', 'a'), image('b', 'b')])
  near(t, perImage[0], ((10 * 0.5) / 4) * Math.exp(-1 / 72))
  near(t, perImage[1], 10 / 4)
})

test('CIDEr of a single image is 0, unless frequencies of a larger set are given', (t) => {
  const one = [image('a b', 'a b')]
  near(t, cider(one).mean, 0)
  const table = documentFrequencies([[ngramCounts(['a', 'b'])], [ngramCounts(['c'])]])
  near(t, cider(one, table).mean, 5)
})
