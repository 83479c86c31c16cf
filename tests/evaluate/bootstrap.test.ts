/** Bootstrap intervals against the normal approximation and against cases without any spread. */

import test from 'ava'
import { ArgumentError } from '../../ts/errors.js'
import { bleu } from '../../ts/evaluate/bleu.js'
import { bootstrapInterval, corpusBleu } from '../../ts/evaluate/bootstrap.js'

test('the interval of a mean is about ± 1.96 standard errors', (t) => {
  const values = Array.from({ length: 400 }, (_, i) => i % 2)
  const { low, high } = bootstrapInterval(values, { seed: 1, samples: 4000 })
  t.true(Math.abs(low - (0.5 - 1.96 * 0.025)) < 0.006, `${low}`)
  t.true(Math.abs(high - (0.5 + 1.96 * 0.025)) < 0.006, `${high}`)
})

test('the same seed gives the same interval, another seed another', (t) => {
  const values = [0.1, 0.9, 0.4, 0.7, 0.3]
  t.deepEqual(bootstrapInterval(values, { seed: 1 }), bootstrapInterval(values, { seed: 1 }))
  t.notDeepEqual(bootstrapInterval(values, { seed: 1 }), bootstrapInterval(values, { seed: 2 }))
})

test('without spread the interval is a point', (t) => {
  t.deepEqual(bootstrapInterval([0.25, 0.25, 0.25], { seed: 1 }), { low: 0.25, high: 0.25 })
  t.deepEqual(bootstrapInterval([3], { seed: 1 }), { low: 3, high: 3 })
})

test('corpus BLEU is computed anew from the drawn counts', (t) => {
  const words = (text: string) => text.split(' ')
  const right = { candidate: words('a b c d'), references: [words('a b c d')] }
  const half = { candidate: words('a b x y'), references: [words('a b c d')] }
  const { perImage } = bleu(Array.from({ length: 200 }, (_, i) => (i % 2 ? right : half)))
  const counts = perImage.map((image) => image.counts)
  // BLEU-1 over equally long captions is the mean of 1 and 1/2: standard error 0.25 / sqrt(200)
  const { low, high } = bootstrapInterval(counts, { seed: 1, samples: 4000 }, corpusBleu(1))
  t.true(Math.abs(low - (0.75 - (1.96 * 0.25) / Math.sqrt(200))) < 0.004, `${low}`)
  t.true(Math.abs(high - (0.75 + (1.96 * 0.25) / Math.sqrt(200))) < 0.004, `${high}`)
  const four = bootstrapInterval(counts, { seed: 1 }, corpusBleu(4))
  const whole = corpusBleu(4)(counts)
  t.true(four.low < whole && whole < four.high)
})

test('no images, too few samples, a wrong order', (t) => {
  t.throws(() => bootstrapInterval([], { seed: 1 }), { instanceOf: ArgumentError })
  t.throws(() => bootstrapInterval([1], { seed: 1, samples: 10 }), {
    instanceOf: ArgumentError,
    message: /samples/,
  })
  t.throws(() => corpusBleu(5), { instanceOf: ArgumentError, message: /1 to 4/ })
})
