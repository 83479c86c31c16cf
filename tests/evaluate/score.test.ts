/** All metrics together: variety figures, refusals, speed, and the agreement with coco-caption's figures. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import test from 'ava'
import { ArgumentError, DataError } from '../../ts/errors.js'
import { tokenizeCaption } from '../../ts/evaluate/ptb.js'
import { type ImageScores, scoreCaptions } from '../../ts/evaluate/score.js'
import { packageRoot } from '../../ts/native.js'
import { createRandom } from '../../ts/random.js'

test('how varied the captions are', (t) => {
  const scores = scoreCaptions([
    { id: 'a', candidate: 'A dog runs.', references: ['a dog'] },
    { id: 'b', candidate: 'a dog runs', references: ['a dog'] },
    { id: 'c', candidate: 'a cat', references: ['a cat'] },
  ])
  t.is(scores.images, 3)
  t.is(scores.distinct, 2 / 3)
  t.is(scores.distinct1, 4 / 8)
  t.is(scores.distinct2, 3 / 5)
  t.is(scores.meanLength, 8 / 3)
  t.deepEqual(
    scores.perImage.map((image) => image.id),
    ['a', 'b', 'c'],
  )
})

test('nothing to score, no references, the same image twice', (t) => {
  t.throws(() => scoreCaptions([]), { instanceOf: ArgumentError, message: /at least one caption/ })
  const good = { id: 'a', candidate: 'a dog', references: ['a dog'] }
  t.throws(() => scoreCaptions([good, { ...good, id: 'b', references: [] }]), {
    instanceOf: DataError,
    message: /1 of 2 images have no reference captions \(first: "b"\)/,
  })
  t.throws(() => scoreCaptions([good, good]), { instanceOf: DataError, message: /"a" comes twice/ })
})

test('5,000 images with five references take less than 10 s of one core, METEOR included', (t) => {
  const random = createRandom(1)
  const words = Array.from(
    { length: 3000 },
    (_, i) => `${'aeiou'[i % 5]}${'dglnrst'[i % 7]}${i.toString(26)}`,
  )
  const word = () => words[Math.floor(random() ** 4 * words.length)]
  const caption = () => Array.from({ length: 12 }, (_, i) => (i % 3 === 0 ? 'a' : word())).join(' ')
  const items = Array.from({ length: 5000 }, (_, i) => ({
    id: String(i),
    candidate: caption(),
    references: Array.from({ length: 5 }, caption),
  }))
  const start = process.cpuUsage()
  const { meteorExactStemSynonym = 0 } = scoreCaptions(items, { meteor: true })
  // Of the process, as other programs may be using the machine.
  const { user, system } = process.cpuUsage(start)
  t.log(`${((user + system) / 1e6).toFixed(1)} s`)
  t.true(user + system < 10e6)
  t.true(meteorExactStemSynonym > 0 && meteorExactStemSynonym < 1)
})

test('METEOR is there where it is asked for', (t) => {
  const items = [
    { id: 'a', candidate: 'A red bike.', references: ['a red bicycle', 'two cars'] },
    { id: 'b', candidate: 'a dog', references: ['a dog'] },
  ]
  const plain = scoreCaptions(items)
  t.false('meteorExactStemSynonym' in plain)
  const { meteorExactStemSynonym, perImage, ...others } = scoreCaptions(items, { meteor: true })
  t.like(plain, others)
  t.is(perImage[1]?.meteorExactStemSynonym, 1)
  t.true((perImage[0]?.meteorExactStemSynonym ?? 0) > 0.5)
  t.true((meteorExactStemSynonym ?? 0) > 0.5 && (meteorExactStemSynonym ?? 1) < 1)
})

test('agreement with plain formulas in Python, on captions of our own', (t) => {
  const path = join(packageRoot, 'tests', 'fixtures', 'scores.json')
  const expected: PlainScores & {
    counts: unknown
    images: (PlainScores & { candidate: string; references: string[] })[]
  } = JSON.parse(readFileSync(path, 'utf8'))
  const scores = scoreCaptions(expected.images.map((image, i) => ({ ...image, id: String(i) })))
  t.deepEqual(scores.counts, expected.counts)
  const agree = (ours: PlainScores, theirs: PlainScores) => {
    const values = [...theirs.bleu, theirs.rougeL, theirs.cider]
    for (const [i, value] of [...ours.bleu, ours.rougeL, ours.cider].entries())
      t.true(Math.abs(value - (values[i] ?? Number.NaN)) < 1e-12, `${value} ${values[i]}`)
  }
  agree(scores, expected)
  for (const [i, image] of expected.images.entries())
    agree(scores.perImage[i] as PlainScores, image)
})

type PlainScores = Pick<ImageScores, 'bleu' | 'rougeL' | 'cider'>

interface Figures {
  readonly Bleu_1: number
  readonly Bleu_2: number
  readonly Bleu_3: number
  readonly Bleu_4: number
  readonly ROUGE_L: number
  readonly CIDEr: number
  readonly METEOR_exact_stem_synonym: number
}

interface CrossCheck {
  readonly images: readonly {
    readonly id: string | number
    readonly candidate: string
    readonly references: readonly string[]
    readonly candidate_tokens: string
    readonly reference_tokens: readonly string[]
    readonly scores: Figures
  }[]
  readonly counts: unknown
  readonly scores: Figures
}

const folder = resolve('..', 'shared', 'data', 'metrics')
const files = existsSync(folder)
  ? readdirSync(folder).filter((name) => name.endsWith('.json.gz'))
  : []

if (files.length === 0) {
  test('agreement with coco-caption', (t) => {
    t.log(`skipped: no cross-check files in ${folder}`)
    t.pass()
  })
}

for (const file of files) {
  test(`agreement with coco-caption: ${file}`, (t) => {
    const check: CrossCheck = JSON.parse(gunzipSync(readFileSync(join(folder, file))).toString())
    for (const image of check.images) {
      t.is(tokenizeCaption(image.candidate).join(' '), image.candidate_tokens)
      t.deepEqual(
        image.references.map((reference) => tokenizeCaption(reference).join(' ')),
        [...image.reference_tokens],
      )
    }
    const scores = scoreCaptions(
      check.images.map(({ id, candidate, references }) => ({
        id: String(id),
        candidate,
        references,
      })),
      { meteor: true },
    )
    t.deepEqual(scores.counts, check.counts)
    const agree = (
      ours: Pick<ImageScores, 'bleu' | 'rougeL' | 'cider' | 'meteorExactStemSynonym'>,
      theirs: Figures,
      where: string,
    ) => {
      const expected = [theirs.Bleu_1, theirs.Bleu_2, theirs.Bleu_3, theirs.Bleu_4]
      expected.push(theirs.ROUGE_L, theirs.CIDEr, theirs.METEOR_exact_stem_synonym)
      const { bleu, rougeL, cider, meteorExactStemSynonym = Number.NaN } = ours
      const actual = [...bleu, rougeL, cider, meteorExactStemSynonym]
      actual.forEach((value, i) => {
        t.true(Math.abs(value - (expected[i] as number)) <= 1e-9, `${where}: ${value}`)
      })
    }
    agree(scores, check.scores, 'corpus')
    for (const [i, image] of check.images.entries()) {
      const ours = scores.perImage[i]
      if (ours === undefined) t.fail(`no scores for image ${image.id}`)
      else agree(ours, image.scores, `image ${image.id}`)
    }
    t.log(`${check.images.length} images agree to 1e-9, all tokens equal`)
  })
}
