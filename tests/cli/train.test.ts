/** `train`, `caption`, `evaluate` and `inspect` on a really trained, really tiny model. */
import { cp, mkdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { temporaryFolder } from '../files/temporary-folder.js'
import { type CliResult, cli } from './run-cli.js'
import { tinyData, tinyFlags } from './tiny-data.js'

interface Context {
  readonly data: string
  readonly model: string
  readonly trained: CliResult
  readonly remove: () => Promise<void>
}

let shared: Context

test.before(async () => {
  const { folder, remove } = await tinyData()
  const model = join(folder, 'run')
  const words = ['train', '--data', folder, ...tinyFlags, '--max-steps', '3', '--out', model]
  shared = { data: folder, model, trained: await cli([...words, '--json']), remove }
})
test.after.always(() => shared.remove())

test('train --json prints one document with the run, validations go to stderr', (t) => {
  const { code, stdout, stderr } = shared.trained
  t.is(code, 0, stderr)
  const result = JSON.parse(stdout)
  t.like(result, { model: shared.model, run: shared.model, step: 3, epoch: 1, interrupted: false })
  t.true(result.best.loss > 0 && result.last.loss > 0)
  for (const key of ['imagesPerSecond', 'captionsPerSecond', 'secondsPerStep', 'peakBytes'])
    t.true(result[key] > 0, key)
  t.regex(stderr, /^training 1\/3 /m)
  t.regex(stderr, /^step 2: validation loss .* \(best\)/m)
  t.false(stderr.includes('\x1b'), 'no colours in a log')
})

test('train says in words what came of it; aliases, dotted flags and --no-image count', async (t) => {
  const out = join(await temporaryFolder(t), 'run')
  const { code, stdout } = await cli([
    ...['train', '--data', shared.data, ...tinyFlags, '--max-steps=1', '--artifact_dir', out],
    ...['--lr', '5e-4', '--optimizer.beta1', '0.8', '--data.flip', '--no-image', '--seq_length=12'],
  ])
  t.is(code, 0)
  t.regex(stdout, /^Trained 1 steps .* images\/s, .* captions\/s/)
  t.regex(stdout, /Best val loss .* at step 1/)
  t.true(stdout.includes(`captioneer caption photo.jpg --model ${out}\n`))
  const config = await readFile(join(out, 'config.yaml'), 'utf8')
  for (const line of ['learningRate: 0.0005', 'beta1: 0.8', 'flip: true', 'maxTokens: 12'])
    t.true(config.includes(`  ${line}\n`), line)
  t.regex(config, /^image: false$/m)
})

test('train refuses a folder that holds a run, and data that are not there', async (t) => {
  const again = await cli(['train', '--data', shared.data, ...tinyFlags, '--out', shared.model])
  t.is(again.code, 2)
  t.regex(again.stderr, /already holds a run\. Go on with --resume/)
  const none = await cli(['train', '--data', 'no/such/data', '--preset', 'tiny'])
  t.is(none.code, 1)
  t.regex(none.stderr, /^error: reading data from "no\/such\/data": no such file/)
})

test('Ctrl-C stops after the step, saves, says how to go on; --resume does', async (t) => {
  const out = join(await temporaryFolder(t), 'my run')
  const words = ['train', '--data', shared.data, ...tinyFlags, '--out', out]
  const stopped = await cli([...words, '--epochs', '1000000', '--validation.every=1000000'], {
    onStart: (child) => {
      child.stderr?.on('data', (text) => {
        if (String(text).includes('training 1/')) child.kill('SIGINT')
      })
    },
  })
  t.is(stopped.code, 130, stopped.stderr)
  const [, step] = /interrupted after step (\d+), saved/.exec(stopped.stderr) ?? []
  t.true(Number(step) >= 1)
  t.regex(stopped.stderr, /\n {2}captioneer train .*--out '.*my run' .*--resume\n$/)

  const resumed = await cli([...words, '--max-steps', String(Number(step) + 1), '--resume'])
  t.is(resumed.code, 0, resumed.stderr)
  t.regex(resumed.stderr, new RegExp(`resumed at step ${step} `))
})

test('caption of one picture is the caption alone; stdin and --json give the same', async (t) => {
  const picture = join(shared.data, 'picture-00.png')
  const flags = ['--model', shared.model, '--max-tokens', '6']
  const plain = await cli(['caption', picture, ...flags])
  t.is(plain.code, 0)
  t.is(plain.stderr, '')
  t.regex(plain.stdout, /^\w[^\n]*\n$/)
  const piped = await cli(['caption', '-', ...flags, '--json'], { input: await readFile(picture) })
  const { results } = JSON.parse(piped.stdout)
  t.like(results, [{ image: '-', caption: plain.stdout.trimEnd() }])
  t.is(typeof results[0].score, 'number')
  t.true(results[0].tokens.length <= 6)
})

test('caption of a folder is in the order of names, and --recursive goes deeper', async (t) => {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'b'))
  for (const name of ['c.png', 'a.PNG', 'b/x.png', '.hidden.png', 'notes.txt'])
    await cp(join(shared.data, 'picture-01.png'), join(folder, name))
  const images = async (...flags: string[]) => {
    const words = ['caption', folder, '--model', shared.model, '--max-tokens=4', '--json', ...flags]
    const { stdout } = await cli(words)
    return JSON.parse(stdout).results.map(({ image }: { image: string }) => image)
  }
  t.deepEqual(await images(), [join(folder, 'a.PNG'), join(folder, 'c.png')])
  t.deepEqual(await images('--recursive', '--batch-size', '2'), [
    join(folder, 'a.PNG'),
    join(folder, 'b/x.png'),
    join(folder, 'c.png'),
  ])
  await mkdir(join(folder, 'empty'))
  const empty = await cli(['caption', join(folder, 'empty'), '--model', shared.model])
  t.is(empty.code, 1)
  t.regex(empty.stderr, /holds no images .*--recursive/)
})

test('several captions of each picture, best first', async (t) => {
  const picture = join(shared.data, 'picture-00.png')
  const flags = ['--model', shared.model, '--beam=4', '--num-captions=3', '--max-tokens=5']
  const { stdout } = await cli(['caption', picture, ...flags, '--json'])
  const [{ caption, captions }] = JSON.parse(stdout).results
  t.is(captions.length, 3)
  t.is(captions[0].text, caption)
  const text = await cli(['caption', picture, ...flags])
  t.is(text.stdout.trimEnd().split('\n').length, 3)
})

test('sampled captions: the same for the same seed at any batch size, others for another', async (t) => {
  const pictures = ['00', '01', '02'].map((n) => join(shared.data, `picture-${n}.png`))
  const broken = join(shared.data, 'captions.csv')
  const tokensOf = ({ tokens }: { readonly tokens: readonly number[] }) => tokens
  const sampled = async (...flags: string[]) => {
    const words = ['--model', shared.model, '--max-tokens=8', '--temperature=3', '--json', ...flags]
    const { code, stdout } = await cli(['caption', broken, ...pictures, ...words])
    t.is(code, 0)
    return JSON.parse(stdout).results.slice(1).map(tokensOf)
  }
  const found = await sampled('--seed=4')
  t.deepEqual(await sampled('--seed=4', '--batch-size=2'), found)
  t.notDeepEqual(await sampled('--seed=5'), found)
  t.deepEqual(await sampled('--top-k=1'), await sampled('--top-p=0.9', '--temperature=0'))
  const picture = pictures[0] ?? ''
  const wrong = await cli(['caption', picture, '--model', shared.model, '--beam=3', '--top-k=4'])
  t.is(wrong.code, 2)
  t.regex(
    wrong.stderr,
    /beam 3 searches .* temperature, topK, topP, typicalP, tau draw .*Leave out one/,
  )
  const several = ['--top-k=9', '--num-captions=2', '--json']
  const two = await cli(['caption', picture, '--model', shared.model, ...several])
  t.is(JSON.parse(two.stdout).results[0].captions.length, 2)
  const zero = await cli(['caption', picture, '--model', shared.model, '--top-p=0'])
  t.regex(zero.stderr, /expected topP to be a number above 0, at most 1, received 0/)
})

test('a picture that fails carries its error; the exit code is 1 when all fail', async (t) => {
  const folder = await temporaryFolder(t)
  const good = join(shared.data, 'picture-00.png')
  const [empty, text, cut] = ['empty.png', 'text.png', 'cut.png'].map((n) => join(folder, n))
  await writeFile(empty ?? '', '')
  await writeFile(text ?? '', 'this is no picture')
  await writeFile(cut ?? '', (await readFile(good)).subarray(0, 60))
  const bad = [join(folder, 'missing.png'), empty ?? '', text ?? '', cut ?? '']
  const flags = ['--model', shared.model, '--max-tokens=4', '--json']

  const some = await cli(['caption', ...bad, good, ...flags])
  t.is(some.code, 0)
  const { results } = JSON.parse(some.stdout)
  const reasons = [/missing\.png.*no such file/, /empty/, /is not a JPEG/, /cut off or damaged/]
  for (const [i, reason] of reasons.entries()) {
    t.regex(results[i].error, reason)
    t.true(some.stderr.includes(`${results[i].error}\n`))
  }
  t.is(typeof results[4].caption, 'string')

  const all = await cli(['caption', ...bad, ...flags])
  t.is(all.code, 1)
  t.is(JSON.parse(all.stdout).results.length, 4)
})

test('a reader that stops reading is no error', async (t) => {
  const { code, stderr } = await cli(['caption', shared.data, '--model', shared.model], {
    onStart: (child) => child.stdout?.destroy(),
  })
  t.is(code, 0)
  t.notRegex(stderr, /EPIPE|error/)
})

test('options that the model does not allow', async (t) => {
  const picture = join(shared.data, 'picture-00.png')
  const { code, stderr } = await cli([
    ...['caption', picture, '--model', shared.model, '--max-tokens', '500'],
  ])
  t.is(code, 2)
  t.regex(stderr, /expected maxTokens to be an integer from 1 to 40, received 500/)
})

test('model folders that are missing, empty or damaged', async (t) => {
  const picture = join(shared.data, 'picture-00.png')
  const folder = await temporaryFolder(t)
  const fails = async (model: string, message: RegExp) => {
    for (const words of [
      ['caption', picture, '--model', model],
      ['inspect', model],
    ]) {
      const { code, stdout, stderr } = await cli(words)
      t.is(stdout, '')
      t.regex(stderr, /^error: .+\n$/)
      // To inspect, a name that is no folder is a name that is no preset.
      if (code === 2) t.regex(stderr, /neither a preset/)
      else t.regex(stderr, message)
    }
  }
  await fails(join(folder, 'nowhere'), /reading .*nowhere\/config\.json: no such file/)
  await fails(folder, /reading .*config\.json: no such file/)
  const damaged = join(folder, 'damaged')
  await cp(shared.model, damaged, { recursive: true })
  await truncate(join(damaged, 'model.safetensors'), 1000)
  await fails(damaged, /model\.safetensors/)
})

test('evaluate: one document, a table, and the captions in a file', async (t) => {
  const output = join(await temporaryFolder(t), 'predictions.json')
  const words = ['evaluate', '--model', shared.model, '--data', shared.data, '--max-tokens', '6']
  const { code, stdout, stderr } = await cli([...words, '--output', output, '--json'])
  t.is(code, 0, stderr)
  const result = JSON.parse(stdout)
  t.is(result.split, 'val')
  t.is(result.predictions.length, result.images)
  t.deepEqual(JSON.parse(await readFile(output, 'utf8')), result.predictions)
  for (const key of ['loss', 'perplexity', 'captionsPerSecond']) t.true(result[key] > 0, key)
  for (const key of ['bleu', 'rougeL', 'cider', 'distinct', 'tokenAccuracy', 'floors', 'intervals'])
    t.not(result[key], undefined, key)

  const text = await cli([...words, '--limit', '2', '--beam', '1', '--split', 'train'])
  t.is(text.code, 0, text.stderr)
  t.regex(text.stdout, /^2 images of split "train"; .*\ncaptions by beam 1, .*maxTokens 6$/m)
  t.regex(text.stdout, /^scores x100 +model +95 % +constant +random +people$/m)
  t.regex(text.stdout, /^CIDEr +\d/m)
})

test('inspect of a model folder', async (t) => {
  const { code, stdout } = await cli(['inspect', shared.model, '--json'])
  t.is(code, 0)
  const { encoder, decoder, total, trainable } = JSON.parse(stdout)
  t.is(encoder, 241_184)
  t.is(total, encoder + decoder)
  t.is(trainable, total)
})
