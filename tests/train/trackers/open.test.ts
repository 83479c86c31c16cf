/** All trackers as one: the history is always there, a failure is said once, and training is never stopped. */
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { readJsonLines } from '../../../ts/files/json-lines.js'
import { openTrackers } from '../../../ts/train/trackers/open.js'
import { metricsOf } from '../../../ts/train/trackers/tracker.js'
import { temporaryFolder } from '../../files/temporary-folder.js'
import { environment, sampleImage, stepRow, validationRow } from './rows.js'

test('history.jsonl has each row when log is done, and samples the pictures', async (t) => {
  const folder = await temporaryFolder(t)
  const warnings: string[] = []
  const options = { folder, config: {}, startStep: 0, message: () => {} }
  const trackers = await openTrackers({
    ...options,
    trackers: [],
    warn: (text) => warnings.push(text),
  })
  await trackers.log(stepRow(1))
  await trackers.log(stepRow(2, Number.NaN))
  await trackers.log(validationRow(2))
  await trackers.image(await sampleImage(2))
  await trackers.text('config', 'preset: tiny')
  const rows = await readJsonLines(join(folder, 'history.jsonl'))
  t.deepEqual(
    rows.map(({ kind, step, loss }) => [kind, step, loss]),
    [
      ['step', 1, 5],
      ['step', 2, null],
      ['validation', 2, 2.5],
    ],
  )
  t.false('secondsLeft' in (rows[0] ?? {}) || 'steps' in (rows[0] ?? {}))
  t.deepEqual(await readdir(join(folder, 'samples')), ['dogs_one.jpg.png'])
  await trackers.close('finished')
  t.deepEqual(warnings, [])
})

test.serial('failures are said once each, and the others go on', async (t) => {
  const folder = await temporaryFolder(t)
  environment(t, { MLFLOW_TRACKING_URI: 'not an address' })
  const warnings: string[] = []
  await writeFile(join(folder, 'tensorboard'), 'in the way')
  const trackers = await openTrackers({
    folder,
    config: {},
    startStep: 0,
    trackers: ['tensorboard', 'mlflow', 'mlflow'],
    warn: (text) => warnings.push(text),
    message: () => {},
  })
  t.is(warnings.length, 2)
  t.regex(warnings[0] ?? '', /^tensorboard: .*EEXIST/)
  t.regex(warnings[1] ?? '', /^mlflow: expected MLFLOW_TRACKING_URI/)
  await trackers.log(stepRow(1))
  t.is((await readJsonLines(join(folder, 'history.jsonl'))).length, 1)

  await rm(folder, { recursive: true })
  await trackers.log(stepRow(2))
  await trackers.log(stepRow(3))
  await trackers.close('finished')
  t.is(warnings.length, 3)
  t.regex(warnings[2] ?? '', /^history\.jsonl: saving .*no such file or folder/)
})

test('metrics are the finite numbers of a row, by its kind', (t) => {
  t.deepEqual(metricsOf(validationRow(4)), {
    'validation/loss': 2.5,
    'validation/accuracy': 0.5,
    'validation/bleu4': 0.125,
    'validation/cider': 0.75,
  })
  t.deepEqual(Object.keys(metricsOf(stepRow(1, Number.POSITIVE_INFINITY))), [
    'train/epoch',
    'train/learningRate',
    'train/gradientNorm',
    'train/imagesPerSecond',
    'train/captionsPerSecond',
  ])
})
