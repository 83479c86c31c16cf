/**
 * Thousands of random days of a served model: every request is answered once and rightly, in order, in batches as large as
 * they may be, whatever crashes. Replay a day with CAPTIONEER_SEED=<seed>; CAPTIONEER_SEEDS=<n> tries so many.
 */
import test from 'ava'
import { simulate } from './simulation.js'

test('no day of thousands breaks a promise', (t) => {
  const { CAPTIONEER_SEED: replay, CAPTIONEER_SEEDS: count = '2000' } = process.env
  const seeds = replay ? [Number(replay)] : Array.from({ length: Number(count) }, (_, i) => i)
  const total: Record<string, number> = {}
  for (const seed of seeds) {
    const { broken, ends } = simulate(seed)
    if (broken.length > 0)
      t.fail(`CAPTIONEER_SEED=${seed}\n${broken.slice(0, replay ? 100 : 3).join('\n')}`)
    for (const [end, n] of Object.entries(ends)) total[end] = (total[end] ?? 0) + n
  }
  t.log(total)
  if (replay) return t.pass()
  // Everything that can happen did, or the days are too quiet.
  const all = [
    'caption',
    'left',
    'QueueFullError',
    'TimeoutError',
    'UnavailableError',
    'ImageError',
  ]
  for (const end of all) t.true((total[end] ?? 0) > seeds.length / 100, end)
})

test('the same seed gives the same day', (t) => {
  for (const seed of [1, 2, 3]) t.deepEqual(simulate(seed), simulate(seed))
})
