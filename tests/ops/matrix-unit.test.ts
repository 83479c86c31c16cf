/**
 * Matrix products with and without the processor's matrix unit (Intel AMX): CAPTIONEER_AMX=all takes it for products of
 * every size, =0 leaves it off. Each is a run of its own, as the choice is made when the addon is loaded.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { device } from '../device.js'

const processors = '/proc/cpuinfo'
const hasUnit = existsSync(processors) && readFileSync(processors, 'utf8').includes('amx_bf16')
const ava = fileURLToPath(new URL('cli.mjs', import.meta.resolve('ava')))
const files = ['linear', 'large-products', 'ops'].map((name) =>
  fileURLToPath(new URL(`./${name}.test.js`, import.meta.url)),
)
// As ava matches titles: without the name of their file.
const titles = [
  'linear *',
  '* rows, *',
  'what is no number*',
  '*onvolution*',
  'tokenLoss*',
  'attendingLstm*',
]
const expected = [
  /linear #0/,
  /linear of 1/,
  /1310 rows/,
  /is no number/,
  /convolution #0/,
  /tokenLoss #0/,
  /attendingLstm #0/,
]

for (const wish of ['all', '0'])
  test(`products with CAPTIONEER_AMX=${wish}`, (t) => {
    if (!hasUnit || device.name !== 'cpu') {
      t.log('skipped: this machine has no Intel AMX, or the device is not the processor')
      return t.pass()
    }
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [ava, '--tap', ...files, ...titles.flatMap((title) => ['--match', title])],
      { env: { ...process.env, CAPTIONEER_AMX: wish }, encoding: 'utf8', timeout: 240_000 },
    )
    t.is(status, 0, stdout + stderr)
    for (const title of expected) t.regex(stdout, title)
  })
