/** Intervals of losses, of paired differences and of shares. */
import test from 'ava'
import { lossInterval, pairedInterval, shareInterval } from '../../ts/evaluate/intervals.js'
import { createRandom } from '../../ts/random.js'

const random = createRandom(1)
const hard = Array.from({ length: 300 }, () => ({ nats: 100 * random(), tokens: 20 }))
const easier = hard.map(({ nats, tokens }) => ({ nats: nats - 2 + 0.2 * random(), tokens }))

test('a loss interval holds the loss over all tokens, not the mean of images', (t) => {
  const losses = [
    ...Array(50).fill({ nats: 10, tokens: 10 }),
    ...Array(50).fill({ nats: 2, tokens: 1 }),
  ]
  const { low, high } = lossInterval(losses, { seed: 0 })
  t.true(low < 600 / 550 && 600 / 550 < high && high < 1.2, `${low} ${high}`)
})

test('a paired interval is that of the difference, far narrower than the losses apart', (t) => {
  const { low, high } = pairedInterval(hard, easier, { seed: 0 })
  t.true(low > 0.09 && high < 0.1, `${low} ${high}`)
  const one = lossInterval(hard, { seed: 0 })
  t.true(one.high - one.low > 10 * (high - low))
  t.throws(() => pairedInterval(hard, easier.slice(1), { seed: 0 }), {
    code: 'ERR_ARGUMENT',
    message: /300 and 299/,
  })
})

test("a share's interval is Wilson's, also where all or none hit", (t) => {
  const close = (hits: number, trials: number, low: number, high: number) => {
    const interval = shareInterval(hits, trials)
    t.true(Math.abs(interval.low - low) < 1e-4, `${interval.low}`)
    t.true(Math.abs(interval.high - high) < 1e-4, `${interval.high}`)
  }
  close(8, 10, 0.4902, 0.9433)
  close(0, 10, 0, 0.2775)
  close(10, 10, 0.7225, 1)
})
