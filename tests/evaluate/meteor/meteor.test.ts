/** METEOR by hand from its formula: α 0.85, β 0.2, γ 0.6, δ 0.75, stems 0.6, synonyms 0.8. */
import test, { type ExecutionContext } from 'ava'
import { meteor, meteorOfCounts, sumMeteorCounts } from '../../../ts/evaluate/meteor/meteor.js'

const image = (candidate: string, ...references: string[]) => ({
  candidate: candidate.split(' ').filter(Boolean),
  references: references.map((reference) => reference.split(' ').filter(Boolean)),
})
const near = (t: ExecutionContext, a: number | undefined, b: number) =>
  t.true(Math.abs((a ?? Number.NaN) - b) < 1e-12, `${a} ${b}`)
const formula = (precision: number, recall: number, fragments: number) =>
  (1 / (0.15 / precision + 0.85 / recall)) * (1 - 0.6 * fragments ** 0.2)

test('a caption that is its reference has score 1, one without a common word 0', (t) => {
  near(t, meteor([image('a dog runs on the grass', 'a dog runs on the grass')]).score, 1)
  t.is(meteor([image('two cats', 'a dog')]).score, 0)
  t.is(meteor([image('', 'a dog')]).score, 0)
})

test('function words weigh a third of others; chunks over matches lower the score', (t) => {
  // Matched: a (function), dog, runs in two chunks. Candidate: 1 function word, 3 others; reference: 2 and 3.
  const found = meteor([image('a brown dog runs', 'a dog runs on snow')])
  const matched = 0.25 + 2 * 0.75
  near(t, found.score, formula(matched / (0.25 + 3 * 0.75), matched / (2 * 0.25 + 3 * 0.75), 2 / 3))
})

test('a stem counts 0.6, a synonym 0.8 of an equal word', (t) => {
  near(t, meteor([image('happiness', 'happy')]).score, formula(0.6, 0.6, 0))
  near(t, meteor([image('bike', 'bicycle')]).score, formula(0.8, 0.8, 0))
  near(t, meteor([image('zebra bike', 'zebra bicycle')]).score, formula(0.9, 0.9, 0))
})

test('as in METEOR 1.5, what is a stem and a synonym at once is left out where it would be a chunk of its own', (t) => {
  t.is(meteor([image('jumping', 'jumped')]).score, 0)
  near(t, meteor([image('red jumping', 'red jumped')]).score, formula(0.8, 0.8, 0))
})

test('the reference that suits best counts, and the corpus is scored from the sums', (t) => {
  const one = image('a dog', 'two cats', 'a dog on snow')
  const two = image('red car', 'red car')
  const { score, perImage } = meteor([one, two])
  near(t, perImage[0]?.score, formula(1, 1 / (0.5 + 1.5), 1 / 2))
  near(t, perImage[1]?.score, 1)
  // The whole caption's one chunk is not counted: one chunk, four matches.
  near(t, score, formula(1, (1 + 1.5) / (2 + 1.5), 1 / 4))
  t.is(score, meteorOfCounts(sumMeteorCounts(perImage.map(({ counts }) => counts))))
})

test('the figures stand in the order of the jar', (t) => {
  const { perImage } = meteor([image('a brown happiness bike', 'a happy bicycle on snow')])
  t.deepEqual(perImage[0]?.counts, [
    ...[4, 5, 1, 2],
    ...[0, 0, 1, 1],
    ...[1, 1, 0, 0],
    ...[1, 1, 0, 0],
    ...[0, 0, 0, 0],
    ...[2, 3, 3],
  ])
})
