/** What commander leaves of a command line, as config keys. That `train` uses them shows train.test.ts. */
import test from 'ava'
import { Command } from 'commander'
import { configFlags } from '../../ts/cli/config-flags.js'
import { ArgumentError } from '../../ts/errors.js'

const command = new Command('train').option('--max-steps <n>')

test('values after = or a space, none at all, and aliases', (t) => {
  const words = '--a.b=1 --c.d 2 --data.flip --lr 1e-4 --seed -1 --e.f= --g.h=x=y'.split(' ')
  t.deepEqual(configFlags(command, words), {
    'a.b': '1',
    'c.d': '2',
    'data.flip': 'true',
    'optimizer.learningRate': '1e-4',
    seed: '-1',
    'e.f': '',
    'g.h': 'x=y',
  })
})

const refused: [words: readonly string[], message: string][] = [
  [['stray'], 'train: unexpected argument "stray". All flags: captioneer train --help'],
  [['-x'], 'train: unknown flag "-x". All flags: captioneer train --help'],
  [['--'], 'train: unknown flag "--". All flags: captioneer train --help'],
  [['--a.b', '1', '--a.b=2'], 'train: --a.b is given twice'],
  [
    ['--max-stps=3'],
    'train: unknown flag --max-stps; did you mean --max-steps? All flags: captioneer train --help',
  ],
  [
    ['--batchSize=2', '--batch_size', '3'],
    'flag --batch_size: batchSize is given twice. Leave one of the two out',
  ],
]

for (const [words, message] of refused) {
  test(words.join(' '), (t) => {
    t.throws(() => configFlags(command, words), { instanceOf: ArgumentError, message })
  })
}
