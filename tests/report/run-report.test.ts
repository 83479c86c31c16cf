/** Reports of real small runs: finished, interrupted, cut off; made again by the command; and what they refuse. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import sharp from 'sharp'
import { readJsonLines } from '../../ts/files/json-lines.js'
import { readEvaluation } from '../../ts/report/evaluation-file.js'
import { readRunFile } from '../../ts/report/run-file.js'
import { reportRun } from '../../ts/report/run-report.js'
import type { TrainEvent } from '../../ts/train/events.js'
import { train } from '../../ts/train/train.js'
import { cli } from '../cli/run-cli.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { smallData, smallRun } from '../train/small-run.js'

test.serial('a run leaves a report with scores, heat maps, pictures and facts', async (t) => {
  const folder = await temporaryFolder(t)
  const data = await smallData(folder)
  await writeFile(join(data, 'broken.txt'), 'of no use')
  const events: TrainEvent[] = []
  const out = join(folder, 'run')
  const result = await train({
    ...smallRun(data, out),
    report: true,
    trackers: ['tensorboard'],
    onEvent: (event) => events.push(event),
  })
  t.is(result.report, join(out, 'report.html'))
  t.deepEqual(
    events.filter(({ kind }) => kind === 'warning'),
    [],
  )
  const page = await readFile(join(out, 'report.html'), 'utf8')
  const evaluation = await readEvaluation(join(out, 'evaluation.json'))
  t.is(evaluation?.images, 6)
  t.true(page.includes(`>${evaluation?.loss.toFixed(3)}<`))
  t.regex(page, /<h2>Scores<\/h2>[\s\S]*<h2>Curves<\/h2>[\s\S]*<h2>Histograms<\/h2>/)
  t.true([...page.matchAll(/class="glance"/g)].length > 6, 'a map for each word')
  const shownCaptions = [...page.matchAll(/<p class="caption" dir="auto">(.*?)<\/p>/g)]
  t.deepEqual(
    shownCaptions.map(([, markup = '']) => markup.replaceAll(/<[^>]*>/g, '')).sort(),
    evaluation?.predictions.map(({ caption }) => caption).sort(),
  )
  const facts = await readRunFile(out)
  t.like(facts?.data, { training: 24, validation: 6, captions: 120, undecodable: 0 })
  t.like(facts?.result, { step: 12, interrupted: false, skipped: 0 })
  t.true((facts?.parameters.trained ?? 0) > 1000)

  const samples = await readdir(join(out, 'samples'), { recursive: true })
  for (const name of [
    'charts/loss.png',
    'charts/learning-rate.png',
    'charts/length-of-captions.png',
    'gallery.png',
  ])
    t.true(samples.includes(name), name)
  t.is(samples.filter((name) => name.startsWith('attention/') && name.endsWith('.png')).length, 6)
  t.is(
    samples.filter((name) => /^[^/]*scene[^/]*\.png$/.test(name)).length,
    2,
    'validation samples',
  )
  const { width, height } = await sharp(join(out, 'samples/charts/loss.png')).metadata()
  t.deepEqual([width, height], [960, 500])

  t.true((await readdir(join(out, 'tensorboard')))[0]?.startsWith('events.out.tfevents.'))
})

test.serial(
  'an interrupted run is reported at once, with the captions of its last validation',
  async (t) => {
    const folder = await temporaryFolder(t)
    const data = await smallData(folder)
    const out = join(folder, 'run')
    const stop = new AbortController()
    await train({
      ...smallRun(data, out),
      report: true,
      signal: stop.signal,
      onProgress: ({ step }) => step === 4 && stop.abort(),
    })
    t.is(await readEvaluation(join(out, 'evaluation.json')), undefined)
    const page = await readFile(join(out, 'report.html'), 'utf8')
    t.regex(page, /then interrupted\. Not evaluated yet/)
    t.regex(page, /<h3>Validation at step 3<\/h3>/)
    t.regex(page, /<b>3<\/b><span>step of this validation/)
    t.is([...page.matchAll(/src="data:image\/jpeg/g)].length, 2)

    // What a killed process leaves has no end, and no report yet.
    await rm(join(out, 'report.html'))
    const { result, ...facts } = (await readRunFile(out)) ?? {}
    t.true(result?.interrupted)
    await writeFile(join(out, 'run.json'), JSON.stringify(facts))
    const path = await reportRun(out)
    t.regex(await readFile(path, 'utf8'), /has not ended, or that was cut off/)
    await rm(join(out, 'run.json'))
    await reportRun(out)
  },
)

test.serial('Ctrl-C while the end of a run is evaluated leaves the last validation', async (t) => {
  const folder = await temporaryFolder(t)
  const out = join(folder, 'run')
  const stop = new AbortController()
  const warnings: string[] = []
  const result = await train({
    ...smallRun(await smallData(folder), out),
    report: true,
    signal: stop.signal,
    onEvent: (event) => {
      if (event.kind === 'message' && event.text.includes('for the report')) stop.abort()
      if (event.kind === 'warning') warnings.push(event.text)
    },
  })
  t.false(result.interrupted, 'training came to its end')
  t.deepEqual(warnings, ['the report is not complete: its evaluation was interrupted'])
  t.is(await readEvaluation(join(out, 'evaluation.json')), undefined)
  const page = await readFile(join(out, 'report.html'), 'utf8')
  t.regex(page, /Trained for 12 steps on 24 images\. Not evaluated yet: the scores are those of/)
  t.regex(page, /<b>12<\/b><span>step of this validation/)
  const [last] = (await readJsonLines(join(out, 'history.jsonl'))).slice(-1)
  t.true(page.includes(`<b>${Number(last?.loss).toFixed(3)}</b><span>loss, nats per token`))
})

test.serial('the command makes a report again, and evaluates for it', async (t) => {
  const folder = await temporaryFolder(t)
  const data = await smallData(folder)
  const run = join(folder, 'run')
  await train({ ...smallRun(data, run), report: false })
  t.false((await readdir(run)).includes('report.html'))

  const made = await cli(['report', run, '--json'])
  t.is(made.code, 0, made.stderr)
  t.deepEqual(JSON.parse(made.stdout), { report: join(run, 'report.html') })
  t.regex(await readFile(join(run, 'report.html'), 'utf8'), /Not evaluated yet/)

  const out = join(folder, 'first.html')
  const words = ['--data', data, '--split', 'train', '--limit', '5', '--beam', '1', '--out', out]
  const judged = await cli(['report', run, ...words])
  t.is(judged.code, 0, judged.stderr)
  t.regex(judged.stdout, /The report is in .*first\.html/)
  t.regex(await readFile(out, 'utf8'), /Judged on 5 images of split &#34;train&#34;/)
  const kept = await readEvaluation(join(run, 'evaluation.json'))
  t.is(kept?.images, 5)

  const scores = join(folder, 'scores.json')
  await writeFile(scores, JSON.stringify({ ...kept, images: 77 }))
  t.is((await cli(['report', run, '--scores', scores, '--out', out])).code, 0)
  t.regex(await readFile(out, 'utf8'), /Judged on 77 images/)
})

test.serial('what is no run and no evaluation is refused with what to do', async (t) => {
  const folder = await temporaryFolder(t)
  await t.throwsAsync(reportRun(folder), {
    code: 'ERR_DATA',
    message: /config\.yaml cannot be read \(ENOENT\)\. Give the folder of a run/,
  })
  const scores = join(folder, 'scores.json')
  await writeFile(scores, '{"bleu": [1, 2, 3, "4"]}')
  await t.throwsAsync(readEvaluation(scores), {
    code: 'ERR_DATA',
    message: /expected the result of an evaluation, but bleu\.3: .*evaluate --json/s,
  })
  await writeFile(scores, 'x')
  await t.throwsAsync(readEvaluation(scores), { message: /it is no JSON/ })
  const both = await cli(['report', folder, '--data', folder, '--scores', scores])
  t.is(both.code, 2)
  const alone = await cli(['report', folder, '--split', 'val'])
  t.is(alone.code, 2)
  t.regex(alone.stderr, /--split is for an evaluation\. Give --data PATH/)
})
