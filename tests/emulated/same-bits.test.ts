/** The same seed gives the same bits, whatever order threads run in, whenever asynchronous work is done. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'ava'
import { packageRoot } from '../../ts/native.js'

const settings = [
  { SCHEDULE: 'fifo', ASYNC: 'lazy', WORKERS: '2' },
  { SCHEDULE: 'random', ASYNC: 'random', SEED: '5', WORKERS: '1' },
  { SCHEDULE: 'reverse', ASYNC: 'eager', WORKERS: '2' },
]

function trained(capability: string, chosen: Readonly<Record<string, string>>): string {
  const environment = Object.entries({ ...chosen, CAPABILITY: capability }).map(([key, value]) => [
    `CAPTIONEER_EMULATOR_${key}`,
    value,
  ])
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [join(packageRoot, 'dist/tests/emulated/train-twice.js')],
    {
      encoding: 'utf8',
      env: {
        ...process.env,
        CAPTIONEER_VARIANT: 'emulated',
        ...Object.fromEntries(environment),
      },
    },
  )
  return status === 0 ? stdout.trim() : `failed: ${stderr}`
}

for (const capability of ['8.0', '9.0'])
  test(`two training steps, compute capability ${capability}`, (t) => {
    const [first = '', ...others] = settings.map((chosen) => trained(capability, chosen))
    t.regex(first, /^[\d.]+ [\d.]+ [0-9a-f]{64}$/)
    for (const other of others) t.is(other, first)
  })
