/** The verdict in a thread of its own: the same one, with the event loop free meanwhile. */
import test from 'ava'
import { type JudgeInput, judge } from '../../ts/evaluate/judge.js'
import { judgeInWorker } from '../../ts/evaluate/judge-worker.js'
import { createRandom } from '../../ts/random.js'

const random = createRandom(9)
const words = 'dog cat man red blue runs sits on under the a grass snow with two ball'.split(' ')
const caption = () =>
  Array.from({ length: 8 }, () => words[Math.floor(random() * words.length)]).join(' ')
const images = Array.from({ length: 60 }, (_, i) => ({
  id: `${i}.jpg`,
  path: `/pictures/${i}.jpg`,
  captions: [caption(), caption(), caption()],
}))
const loss = {
  loss: 2,
  accuracy: 0.5,
  accuracy5: 0.75,
  tokens: 600,
  perImage: images.map(() => ({ nats: 20, tokens: 10 })),
}
const input: JudgeInput = {
  images,
  skipped: 1,
  warnings: ['one is damaged'],
  captions: images.map(({ captions }, i) => ({
    text: i % 2 ? caption() : (captions[0] ?? ''),
    score: -1,
  })),
  captionSeconds: 2,
  loss,
  textOnlyLoss: { ...loss, loss: 2.5, perImage: images.map(() => ({ nats: 25, tokens: 10 })) },
  trainingCaptions: images.flatMap(({ captions }) => captions),
  jars: { corpus: { spice: 0.5 }, perImage: images.map(() => ({ spice: 0.5 })) },
  seed: 3,
}

test.serial('the same verdict as in this thread, and timers run meanwhile', async (t) => {
  let ticks = 0
  const timer = setInterval(() => ticks++, 5)
  const evaluation = await judgeInWorker(input)
  clearInterval(timer)
  t.deepEqual(evaluation, judge(input))
  t.true(ticks > 3, `${ticks} ticks`)
})

test.serial('every figure that only now and then is there', (t) => {
  const evaluation = judge(input)
  t.is(evaluation.images, 60)
  t.is(evaluation.textOnlyLoss, 2.5)
  t.deepEqual(evaluation.intervals.textOnlyMinusLoss, { low: 0.5, high: 0.5 })
  t.is(evaluation.spice, 0.5)
  t.deepEqual(evaluation.intervals.spice, { low: 0.5, high: 0.5 })
  t.is(evaluation.meteor, undefined)
  t.is(evaluation.novel, 0.5)
  const { low, high } = evaluation.intervals.meteorExactStemSynonym
  t.true(low < evaluation.meteorExactStemSynonym && evaluation.meteorExactStemSynonym < high)
  t.true(evaluation.floors.random.meteorExactStemSynonym < evaluation.meteorExactStemSynonym)
  const { best, worst, predictions } = evaluation
  const cider = predictions.map((one) => one.cider).sort((a, b) => b - a)
  t.deepEqual(
    best.map((one) => one.cider),
    cider.slice(0, 5),
  )
  t.deepEqual(
    worst.map((one) => one.cider),
    cider.slice(-5).reverse(),
  )
  t.is(judge({ ...input, trainingCaptions: [] }).novel, undefined)
})

test.serial('bad items are told by their class; a signal ends the thread', async (t) => {
  const [first] = images
  await t.throwsAsync(judgeInWorker({ ...input, images: first ? [first, first] : [] }), {
    code: 'ERR_DATA',
    message: /"0\.jpg" comes twice/,
  })
  const reason = new Error('enough')
  const controller = new AbortController()
  const judged = judgeInWorker(input, controller.signal)
  controller.abort(reason)
  t.is(await t.throwsAsync(judged), reason)
})
