/** runDemo() on a handful of scenes for a second or two: its files and figures, a second run, folders of others, aborts. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import sharp from 'sharp'
import { writeScenes } from '../ts/data/scenes/write.js'
import { type DemoEvent, runDemo } from '../ts/demo.js'
import { openDemoFolder } from '../ts/demo-folder.js'
import { openDevice } from '../ts/native.js'
import { memory } from '../ts/tensor.js'
import { temporaryFolder } from './files/temporary-folder.js'

const device = 'cpu'

test.serial(
  'the demo leaves a model, samples and a report, and runs again in the same folder',
  async (t) => {
    const folder = await temporaryFolder(t)
    const data = join(folder, 'data')
    const out = join(folder, 'demo')
    await writeScenes(data, { train: 24, val: 4, seed: 1, size: 64 })
    const events: DemoEvent[] = []
    let steps = 0
    const before = memory(openDevice(device)).liveTensors
    const result = await runDemo({
      data,
      out,
      device,
      maxSeconds: 2,
      onEvent: (event) => events.push(event),
      onProgress: () => steps++,
    })
    t.is(memory(openDevice(device)).liveTensors, before)
    t.is(result.device, device)
    t.true(steps > 0 && result.imagesPerSecond > 0)
    t.true(result.trainSeconds > 0 && result.trainSeconds < 10)
    const { exactMatch, ...figures } = result.validation
    t.true(exactMatch !== undefined && exactMatch >= 0 && exactMatch <= 1)
    for (const [name, value] of Object.entries(figures)) t.true(Number.isFinite(value), name)
    t.is(events.filter(({ kind }) => kind === 'phase').length, 3)
    t.true(events.some(({ kind }) => kind === 'validation'))

    t.is(result.samples.length, 3)
    for (const { image, caption, references } of result.samples) {
      const { width, format } = await sharp(image).metadata()
      t.is(width, 256)
      t.is(format, 'png')
      t.is(await readFile(image.replace(/png$/, 'txt'), 'utf8'), `${caption}\n`)
      t.is(references.length, 5)
    }
    const page = await readFile(result.report, 'utf8')
    t.true(page.includes(result.validation.textOnlyLoss.toFixed(3)))
    t.true((await readdir(result.model)).includes('model.safetensors'))

    const again = await runDemo({ data, out, device, maxSeconds: 1 })
    t.deepEqual(
      again.samples.map(({ image }) => image),
      result.samples.map(({ image }) => image),
    )
  },
)

test('a folder that holds other things is left alone', async (t) => {
  const out = await temporaryFolder(t)
  await writeFile(join(out, 'report.html'), 'mine')
  const refusal = { code: 'ERR_ARGUMENT', message: /report\.html.*Choose another --out/s }
  await t.throwsAsync(runDemo({ out, device }), refusal)
  t.is(await readFile(join(out, 'report.html'), 'utf8'), 'mine')
})

test('of an earlier demo only the scenes stay', async (t) => {
  const out = join(await temporaryFolder(t), 'demo')
  const folder = await openDemoFolder(out)
  await writeScenes(folder.scenes, { train: 1, val: 1, seed: 0, size: 32 })
  await writeFile(folder.report, 'old')
  await writeFile(join(folder.samples, 'old.png'), '')
  await openDemoFolder(out)
  t.deepEqual((await readdir(out)).sort(), ['.captioneer-demo', 'samples', 'scenes'])
  t.deepEqual(await readdir(folder.samples), [])
  t.true((await readdir(folder.scenes)).includes('scenes.json'))
})

test('wrong seconds are refused, and an aborted signal ends the demo', async (t) => {
  const out = join(await temporaryFolder(t), 'demo')
  await t.throwsAsync(runDemo({ out, device, maxSeconds: 0 }), {
    code: 'ERR_ARGUMENT',
    message: 'demo: expected maxSeconds to be a number above 0, received 0',
  })
  const reason = new Error('enough')
  const controller = new AbortController()
  const data = join(await temporaryFolder(t), 'data')
  await writeScenes(data, { train: 8, val: 2, seed: 1, size: 64 })
  const run = runDemo({
    out,
    data,
    device,
    maxSeconds: 60,
    signal: controller.signal,
    onProgress: () => controller.abort(reason),
  })
  t.is(await t.throwsAsync(run), reason)
})
