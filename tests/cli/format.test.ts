/** Numbers, tables, commands as people read them, and config keys as flags. */
import test from 'ava'
import {
  bytesText,
  clock,
  duration,
  metric,
  shellLine,
  shownPath,
  table,
  three,
} from '../../ts/cli/format.js'

test('numbers', (t) => {
  t.deepEqual([0.03123, 41.23, 1234.5, Number.NaN].map(three), ['0.0312', '41.2', '1,235', 'NaN'])
  t.deepEqual([12, 41_900, 3.63e9].map(metric), ['12', '41.9 k', '3.63 G'])
  t.deepEqual([512, 1536, 3 * 2 ** 30].map(bytesText), ['512 B', '1.50 KiB', '3.00 GiB'])
  t.deepEqual([0, 59.6, 725, 3609].map(clock), ['0:00', '1:00', '12:05', '1:00:09'])
  t.deepEqual([0.31, 725, 3609].map(duration), ['0.310 s', '12:05 min', '1:00:09 h'])
})

test('a table', (t) => {
  t.is(table([['a', '1'], ['bcd', '100', 'x'], ['e']]), 'a      1\nbcd  100  x\ne')
})

test('a command that a shell reads back', (t) => {
  t.is(
    shellLine(['captioneer', '--out', 'my run', '--a=b', "it's", '$HOME', '']),
    "captioneer --out 'my run' --a=b 'it'\\''s' '$HOME' ''",
  )
})

test('a path as one would type it', (t) => {
  t.is(shownPath(`${process.cwd()}/runs/a`), 'runs/a')
  t.is(shownPath('/elsewhere/a'), '/elsewhere/a')
  t.is(shownPath(process.cwd()), '.')
})
