/** `captioneer demo` on a handful of pictures for a second; the demo on drawn scenes has tests of its own. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { temporaryFolder } from '../files/temporary-folder.js'
import { cli } from './run-cli.js'
import { tinyData } from './tiny-data.js'

test('demo --json prints one document, with a report and a model that are there', async (t) => {
  const { folder, remove } = await tinyData()
  t.teardown(remove)
  const out = join(await temporaryFolder(t), 'demo')
  const words = ['demo', '--data', folder, '--out', out, '--max-seconds', '1']
  const { code, stdout, stderr } = await cli([...words, '--json'])
  t.is(code, 0, stderr)
  const result = JSON.parse(stdout)
  t.true(['cpu', 'cuda'].includes(result.device))
  t.true(result.trainSeconds > 0 && result.imagesPerSecond > 0)
  for (const key of ['loss', 'textOnlyLoss', 'shuffledLoss', 'bleu4', 'cider'])
    t.is(typeof result.validation[key], 'number', key)
  for (const { image, caption, references } of result.samples) {
    t.true((await stat(image)).isFile())
    t.true(caption.length > 0 && references.length > 0)
  }
  t.regex(await readFile(result.report, 'utf8'), /<html/)
  t.true((await stat(join(result.model, 'model.safetensors'))).isFile())
  t.regex(stderr, /^training the captioner/m)

  const text = await cli(words)
  t.is(text.code, 0, text.stderr)
  t.regex(text.stdout, /without an image +\d/)
  t.regex(text.stdout, /The report is in .*report\.html/)
  t.regex(text.stdout, /\n {2}captioneer caption .*\.png --model .*\n$/)
})

test('Ctrl-C ends the demo with 130 and says how to start it again', async (t) => {
  const { folder, remove } = await tinyData()
  t.teardown(remove)
  const out = join(await temporaryFolder(t), 'demo')
  const { code, stdout, stderr } = await cli(['demo', '--data', folder, '--out', out], {
    onStart: (child) => {
      child.stderr?.on('data', (text) => {
        if (String(text).includes('training 1/')) child.kill('SIGINT')
      })
    },
  })
  t.is(code, 130, stderr)
  t.is(stdout, '')
  t.regex(stderr, /stopping after this step/)
  t.regex(stderr, /Start again with:\n {2}captioneer demo --data .* --out .*\n$/)
})
