/** The floors: the constant caption against an exhaustive search, the human figure, determinism. */

import test from 'ava'
import { ArgumentError } from '../../ts/errors.js'
import { cider, documentFrequencies } from '../../ts/evaluate/cider.js'
import { captionFloors } from '../../ts/evaluate/floors.js'
import { ngramCounts } from '../../ts/evaluate/ngrams.js'
import { tokenizeCaption } from '../../ts/evaluate/ptb.js'
import { scoreCaptions, tokenizeItem } from '../../ts/evaluate/score.js'
import { createRandom } from '../../ts/random.js'

const random = createRandom(5)
const pick = (words: readonly string[]) => words[Math.floor(random() ** 2 * words.length)] as string
const caption = () =>
  `a ${pick(['brown', 'black', 'white'])} ${pick(['dog', 'cat', 'horse', 'bird'])} ` +
  `${pick(['runs', 'sleeps', 'jumps'])} ${pick(['on the grass', 'in the snow', 'near a red car'])}`
const train = Array.from({ length: 150 }, caption)
const items = Array.from({ length: 40 }, (_, i) => ({
  id: `image ${i}`,
  candidate: 'not used',
  references: [caption(), caption(), caption()],
}))
const tokens = items.map(tokenizeItem)

test('the constant caption is the best of all training captions, by CIDEr-D against them', (t) => {
  const captions = [...new Set(train)].map(tokenizeCaption)
  const table = documentFrequencies(captions.map((tokens) => [ngramCounts(tokens)]))
  const scoreOf = (text: string) =>
    cider([{ candidate: tokenizeCaption(text), references: captions }], table).mean
  const { constant } = captionFloors(train, tokens, { seed: 1 })
  const best = Math.max(...train.map(scoreOf))
  t.true(Math.abs(scoreOf(constant.caption) - best) < 1e-12)
  t.is(constant.scores.distinct, 1 / items.length)
  t.deepEqual(
    constant.scores,
    scoreCaptions(items.map((item) => ({ ...item, candidate: constant.caption }))),
  )
})

test('the human figure is the first reference against the others', (t) => {
  const floors = captionFloors(train, tokens, { seed: 1 })
  t.deepEqual(
    floors.human,
    scoreCaptions(
      items.map(({ id, references }) => ({
        id,
        candidate: references[0] as string,
        references: references.slice(1),
      })),
    ),
  )
  const single = items.map((item) => ({ ...item, references: item.references.slice(0, 1) }))
  t.false('human' in captionFloors(train, single.map(tokenizeItem), { seed: 1 }))
})

test('random captions come from training, one seed always gives the same', (t) => {
  const floors = captionFloors(train, tokens, { seed: 1 })
  t.deepEqual(captionFloors(train, tokens, { seed: 1 }), floors)
  t.notDeepEqual(captionFloors(train, tokens, { seed: 2 }).random, floors.random)
  t.true(floors.random.distinct > floors.constant.scores.distinct)
  const one = captionFloors(['a dog runs'], tokens, { seed: 1 })
  t.deepEqual(one.random, one.constant.scores)
})

test('the floors have METEOR where it is asked for, from the same candidates', (t) => {
  const plain = captionFloors(train, tokens, { seed: 1 })
  const { constant, random, human } = captionFloors(train, tokens, { seed: 1, meteor: true })
  t.is(plain.random.meteorExactStemSynonym, undefined)
  t.is(random.cider, plain.random.cider)
  t.deepEqual(
    constant.scores,
    scoreCaptions(
      items.map((item) => ({ ...item, candidate: constant.caption })),
      { meteor: true },
    ),
  )
  for (const floor of [random, human])
    t.true((floor?.meteorExactStemSynonym ?? 0) > 0 && (floor?.meteorExactStemSynonym ?? 1) < 1)
})

test('no training captions, no items', (t) => {
  t.throws(() => captionFloors([], tokens, { seed: 1 }), {
    instanceOf: ArgumentError,
    message: /training/,
  })
  t.throws(() => captionFloors(train, [], { seed: 1 }), { instanceOf: ArgumentError })
})
