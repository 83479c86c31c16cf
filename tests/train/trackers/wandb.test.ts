/** Weights & Biases: what its client is told, by a client that writes it down, and by the real one, offline, where it is. */
import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { historyTracker } from '../../../ts/train/trackers/history.js'
import { rememberedNames } from '../../../ts/train/trackers/remembered.js'
import { wandbTracker } from '../../../ts/train/trackers/wandb.js'
import { temporaryFolder } from '../../files/temporary-folder.js'
import { environment, sampleImage, stepRow, trackedRun, validationRow } from './rows.js'

const run = promisify(execFile)
const python = process.env.CAPTIONEER_PYTHON ?? 'python3'

async function has(module: string): Promise<boolean> {
  return run(python, ['-c', module === '' ? '' : `import ${module}`]).then(
    () => true,
    () => false,
  )
}

/** A package wandb that appends what it is told to a file. */
const recorder = `
import json, os
def write(*call):
    with open(os.environ["RECORD"], "a") as file:
        file.write(json.dumps(call) + "\\n")
def Image(path, caption):
    return {"bytes": os.path.getsize(path), "caption": caption}
class Run:
    def log(self, values, step):
        write("log", step, values)
    def finish(self, exit_code):
        write("finish", exit_code)
def init(**settings):
    write("init", settings)
    return Run()
`

test.serial('the client is told settings, values, pictures and the end', async (t) => {
  if (!(await has(''))) {
    t.log(`skipped: there is no ${python}`)
    t.pass()
    return
  }
  const folder = await temporaryFolder(t)
  const modules = join(folder, 'modules')
  await mkdir(modules)
  await writeFile(join(modules, 'wandb.py'), recorder)
  const record = join(folder, 'calls.jsonl')
  environment(t, { PYTHONPATH: modules, RECORD: record, WANDB_PROJECT: undefined })

  const tracked = trackedRun(folder)
  const tracker = await wandbTracker(tracked)
  tracker.log(stepRow(1))
  tracker.log(validationRow(1))
  const image = await sampleImage(1)
  await historyTracker(tracked).image?.(image)
  await tracker.image?.(image)
  await tracker.close('interrupted')
  t.deepEqual(tracked.failures, [])

  const { wandb: id } = await rememberedNames(folder)
  const calls = (await readFile(record, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const [, settings] = calls[0]
  t.is(settings.id, id)
  t.is(settings.project, 'captioneer')
  t.deepEqual(settings.config, tracked.config)
  t.is(calls[1][1], 1)
  t.is(calls[1][2]['train/loss'], 5)
  t.is(calls[2][2]['validation/cider'], 0.75)
  t.deepEqual(calls[3][2], {
    'samples/dogs/one.jpg': { bytes: image.png.length, caption: 'a dog' },
  })
  t.deepEqual(calls[4], ['finish', 255])

  const resumed = await wandbTracker(trackedRun(folder, 1))
  await resumed.close('finished')
  const later = (await readFile(record, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.is(later[5][1].id, id, 'a resumed run goes on under its name')
})

test.serial('without the client, or without a Python, one is told what to do', async (t) => {
  const folder = await temporaryFolder(t)
  environment(t, { CAPTIONEER_PYTHON: join(folder, 'no-python') })
  const nothing = trackedRun(folder)
  const tracker = await wandbTracker(nothing)
  tracker.log(stepRow(1))
  await tracker.close('finished')
  t.regex(nothing.failures[0] ?? '', /no-python cannot be started .*Set CAPTIONEER_PYTHON/)

  process.env.CAPTIONEER_PYTHON = python
  if (!(await has('')) || (await has('wandb'))) {
    t.log(`skipped the missing client: ${python} is missing, or has it`)
    return
  }
  const missing = trackedRun(folder)
  const other = await wandbTracker(missing)
  other.log(stepRow(1))
  await other.close('finished')
  t.regex(missing.failures[0] ?? '', /has no package wandb\. Install it with ".* -m pip install/)
})

test.serial('the real client keeps an offline run', async (t) => {
  if (!(await has('wandb'))) {
    t.log(`skipped: ${python} has no package wandb`)
    t.pass()
    return
  }
  const folder = await temporaryFolder(t)
  environment(t, { WANDB_MODE: 'offline' })
  const tracked = trackedRun(folder)
  const tracker = await wandbTracker(tracked)
  for (let step = 1; step <= 5; step++) tracker.log(stepRow(step))
  const image = await sampleImage(5)
  await historyTracker(tracked).image?.(image)
  await tracker.image?.(image)
  await tracker.close('finished')
  t.deepEqual(tracked.failures, [])
  const { wandb: id } = await rememberedNames(folder)
  const [offline = ''] = (await readdir(join(folder, 'wandb'))).filter((name) =>
    name.startsWith('offline-run'),
  )
  const files = await readdir(join(folder, 'wandb', offline))
  t.true(files.includes(`run-${id}.wandb`))
  const kept = await readFile(join(folder, 'wandb', offline, `run-${id}.wandb`))
  for (const text of ['train/loss', 'samples/dogs/one.jpg', 'optimizer'])
    t.true(kept.includes(text), text)
})
