/** Self-critical training: rewards, token weights, the gradient they stand for, and a run whose captions earn more and more. */
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { packCaptions } from '../../ts/data/batches.js'
import type { CaptionedImage } from '../../ts/data/dataset.js'
import { padCaptions } from '../../ts/data/pad-captions.js'
import { writeScenes } from '../../ts/data/scenes/write.js'
import { cider } from '../../ts/evaluate/cider.js'
import type { StepProgress } from '../../ts/train/events.js'
import { ciderReward } from '../../ts/train/rewards.js'
import { weightedCaptions } from '../../ts/train/self-critical.js'
import { train } from '../../ts/train/train.js'

const imageOf = (id: string, ...captions: string[]): CaptionedImage => ({
  id,
  path: id,
  captions,
  split: 'train',
})

const images = [
  imageOf('a', 'A dog runs on grass.', 'the dog is running'),
  imageOf('b', 'Two cats sleep on a sofa', 'cats sleeping'),
  imageOf('c', 'a man rides a horse', 'man on horse'),
]

test('a reward is the CIDEr-D of captions and references that end in a word of their own', (t) => {
  const reward = ciderReward(images)
  const words = (text: string) => text.toLowerCase().replace('.', '').split(' ')
  const ended = (text: string) => [...words(text), '.end']
  const samples = ['a dog runs on a sofa', 'cats sleep on a sofa']
  const expected = samples.map(
    (sample) =>
      cider(
        images.map(({ captions }, i) => ({
          candidate: i === 1 ? ended(sample) : ['x'],
          references: captions.map(ended),
        })),
      ).perImage[1],
  )
  const actual = reward(
    1,
    samples.map((text) => ({ text, finished: true })),
  )
  for (const [i, value] of actual.entries())
    t.true(Math.abs(value - (expected[i] ?? Number.NaN)) < 1e-12, `${value}`)
  t.true((actual[1] ?? 0) > (actual[0] ?? 0))
  const [whole = 0, cut = 0] = reward(1, [
    { text: 'two cats sleep on a sofa', finished: true },
    { text: 'two cats sleep on a sofa', finished: false },
  ])
  t.true(cut < whole, 'a caption that was cut earns less')
})

const ids = { bos: 1, eos: 2, unk: 3 }

test('weights are advantages over the other samples, shared out by tokens', (t) => {
  const samples = [
    [
      { tokens: [5, 6], finished: true },
      { tokens: [7], finished: true },
      { tokens: [8, 9, 10], finished: false },
    ],
    [
      { tokens: [5], finished: true },
      { tokens: [5], finished: true },
      { tokens: [], finished: true },
    ],
  ]
  const rewards = [
    [3, 1, 2],
    [0.5, 0.5, 0.5],
  ]
  const text = weightedCaptions(samples, rewards, [], ids, 1)
  t.is(text.captionsPerImage, 3)
  t.deepEqual(Array.from(text.targets), [5, 6, 2, 7, 2, 8, 9, 10, 2, 5, 2, 5, 2, 2])
  // 14 tokens, of which 13 were drawn: the end of a caption that was cut was not.
  const one = (1.5 * 14) / 13
  const expected = [one, one, one, -one, -one, 0, 0, 0, 0, 0, 0, 0, 0, 0]
  t.deepEqual(
    text.weights,
    Float32Array.from(expected, (w) => w || 0),
  )
  const padded = padCaptions(text, 0, 16)
  const sum = (weights: Float32Array | undefined) => weights?.reduce((a, b) => a + b, 0)
  t.is(padded.weights?.length, padded.tokens.length)
  t.is(sum(padded.weights), sum(text.weights))
})

test('with references: both parts have their share of the mean', (t) => {
  const samples = [
    [
      { tokens: [5], finished: true },
      { tokens: [6, 7, 8], finished: true },
    ],
  ]
  const references = [[[9, 9, 9], [4]]]
  const text = weightedCaptions(samples, [[2, 1]], references, ids, 0.75)
  t.deepEqual(text.tokens, packCaptions([[[5], [6, 7, 8], [9, 9, 9], [4]]], ids).tokens)
  const weights = Array.from(text.weights ?? [])
  const [up = 0, , down = 0] = weights
  // Of 12 tokens 6 are sampled, 6 are references': 0.75 · 1 · 12 / 6, and 0.25 · 12 / 6.
  t.deepEqual([up, down], [1.5, -1.5])
  t.deepEqual(weights.slice(6), [0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
})

const folder = mkdtempSync(join(tmpdir(), 'captioneer-self-critical-'))
test.after.always(() => rm(folder, { recursive: true, force: true }))

test.serial('a run from a trained model: sampled captions earn more and more', async (t) => {
  const data = join(folder, 'data')
  await writeScenes(data, { train: 48, val: 8, seed: 5, size: 64 })
  const common = {
    data,
    preset: 'tiny',
    model: { decoder: { dim: 48, layers: 1, heads: 4, feedForward: 96, dropout: 0.1 } },
    batchSize: 8,
    device: 'cpu',
    report: false,
    trackers: [],
    validation: { every: 1000, captions: 8 },
  }
  const start = join(folder, 'start')
  await train({ ...common, out: start, maxSteps: 60, optimizer: { learningRate: 3e-3 } })
  const steps: StepProgress[] = []
  const { best } = await train({
    ...common,
    out: join(folder, 'rewarded'),
    init: start,
    selfCritical: { samples: 5 },
    maxSteps: 60,
    epochs: 100,
    optimizer: { learningRate: 5e-4 },
    schedule: { name: 'constant', warmupSteps: 0 },
    onProgress: (progress) => steps.push(progress),
  })
  const rewards = steps.map(({ reward = Number.NaN }) => reward)
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length
  const [before, after] = [mean(rewards.slice(0, 10)), mean(rewards.slice(-10))]
  t.log(
    `mean reward ${before.toFixed(3)}, then ${after.toFixed(3)}; CIDEr-D ${best.cider.toFixed(3)}`,
  )
  t.true(after > 1.15 * before, `${before} to ${after}`)
})
