/** The benchmark's own parts: medians, turns of two sides, made-up captions, and PyTorch that is not there. */
import test from 'ava'
import { madeUpCaptions, madeUpPictures } from '../../bench/cases.js'
import { startPeer } from '../../bench/peer.js'
import { compare, spread } from '../../bench/statistics.js'

test('a spread is median, least and most', (t) => {
  t.deepEqual(spread([5, 1, 3]), { median: 3, min: 1, max: 5 })
  t.deepEqual(spread([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4 })
  t.true(Number.isNaN(spread([]).median))
})

test('sides take turns, ours first, and the ratio is of turns side by side', async (t) => {
  const turns: string[] = []
  const side = (name: string, ms: () => number) => async (count: number) => {
    turns.push(`${name} ${count}`)
    return Array.from({ length: count }, ms)
  }
  // A machine that becomes twice as slow: times double, the ratio stays.
  let slow = 1
  const compared = await compare(
    side('ours', () => 10 * slow),
    side('peer', () => {
      const ms = 15 * slow
      if (turns.length === 8) slow = 2
      return ms
    }),
    4,
    0.05,
  )
  t.deepEqual(turns.slice(4), Array(4).fill(['ours 5', 'peer 5']).flat())
  t.deepEqual(compared.ours, { median: 15, min: 10, max: 20 })
  t.is(compared.ratio?.median, 1.5)
  const alone = await compare(
    side('ours', () => 10),
    undefined,
    2,
    0.01,
  )
  t.deepEqual(Object.keys(alone), ['ours', 'count'])
})

test('made-up data: five captions a picture of 8 to 20 known words, 12 on average', (t) => {
  const images = madeUpCaptions(400, 64)
  const captions = images.flat()
  t.is(captions.length, 5 * images.length)
  const lengths = captions.map((ids) => ids.length)
  t.is(Math.min(...lengths), 8)
  t.is(Math.max(...lengths), 20)
  const mean = lengths.reduce((sum, n) => sum + n, 0) / lengths.length
  t.true(mean > 11.5 && mean < 12.5, `mean ${mean}`)
  t.true(captions.flat().every((id) => id >= 4 && id < 64))
  const pictures = madeUpPictures(3, 16)
  t.is(new Set(pictures.map((p) => Buffer.from(p).toString('hex'))).size, 3)
  t.true(pictures.every((p) => p.length === 16 * 16 * 3))
})

test.serial('a Python without torch is told, with what to do', async (t) => {
  const before = process.env.CAPTIONEER_PYTHON
  process.env.CAPTIONEER_PYTHON = 'no-such-python'
  try {
    const peer = await startPeer(1, 'cpu')
    t.true(
      'missing' in peer &&
        /no-such-python cannot import torch .*did not start.*CAPTIONEER_PYTHON/.test(peer.missing),
    )
  } finally {
    if (before === undefined) delete process.env.CAPTIONEER_PYTHON
    else process.env.CAPTIONEER_PYTHON = before
  }
})
