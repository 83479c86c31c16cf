/** The progress bar on a terminal and in a log, by a clock of the test's own. */
import test from 'ava'
import { barLine, createProgressBar, type Progress } from '../../ts/cli/progress-bar.js'

const progress: Progress = {
  label: 'training',
  done: 50,
  total: 200,
  facts: ['loss 2.000', '31.0 images/s', '155 captions/s'],
  secondsLeft: 65,
}

/** What was written, and a clock that `at` sets. */
function recorder(isTTY: boolean, columns = 100) {
  const written: string[] = []
  const clock = { at: 0 }
  const stream = { isTTY, columns, write: (text: string) => written.push(text) }
  return { written, clock, bar: createProgressBar(stream, () => clock.at) }
}

test('a bar never reaches the last column, and narrow ones drop the least important figures', (t) => {
  for (let columns = 1; columns <= 200; columns++) {
    t.true(barLine(progress, columns).length < Math.max(2, columns), `${columns} columns`)
  }
  t.is(
    barLine(progress, 200),
    'training ████████░░░░░░░░░░░░░░░░░░░░░░ 50/200  loss 2.000  1:05 left  31.0 images/s  155 captions/s',
  )
  t.is(barLine(progress, 60), 'training █████░░░░░░░░░░░░░░ 50/200  loss 2.000  1:05 left')
  t.is(barLine(progress, 20), 'training 50/200')
  t.regex(barLine({ ...progress, share: 1 }, 200), /█{30} 50\/200/)
})

test('a terminal is redrawn at most ten times a second', (t) => {
  const { bar, written, clock } = recorder(true)
  for (clock.at = 0; clock.at < 1000; clock.at++) bar.update({ ...progress, done: clock.at })
  t.is(written.length, 10)
  t.true(written.every((text) => text.startsWith('\r') && text.endsWith('\x1b[K')))
  bar.end()
  t.regex(written.at(-2) ?? '', /999\/200/, 'the last figures stay')
  t.is(written.at(-1), '\n')
  bar.end()
  t.is(written.length, 12)
})

test('a log gets a line at the start, every ten seconds, and at the end', (t) => {
  const { bar, written, clock } = recorder(false)
  for (clock.at = 0; clock.at < 25_000; clock.at += 100) bar.update({ ...progress, done: clock.at })
  bar.end()
  t.deepEqual(
    written.map((line) => line.split('/')[0]),
    ['training 0', 'training 10,000', 'training 20,000', 'training 24,900'],
  )
  t.true(written.every((line) => line.endsWith('\n') && !line.includes('\x1b')))
})

test('lines above the bar, and one bar after another', (t) => {
  const { bar, written } = recorder(true)
  bar.note('before')
  bar.update(progress)
  bar.note('beside')
  bar.update({ ...progress, label: 'captioning' })
  bar.end()
  t.is(written[0], 'before\n')
  t.is(written[2], '\r\x1b[Kbeside\n')
  t.regex(written[3] ?? '', /training/, 'drawn again below')
  t.is(written[4], '\n')
  t.regex(written[5] ?? '', /captioning/)
})
