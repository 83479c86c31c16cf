/** The report's page: stands alone, shows hostile text as text, and draws its curves in a browser where one is installed. */
import { execFile } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import sharp from 'sharp'
import { judge } from '../../ts/evaluate/judge.js'
import type { Chart } from '../../ts/report/charts.js'
import { chartsOf } from '../../ts/report/curves.js'
import {
  type ReportedEvaluation,
  readEvaluation,
  writeEvaluation,
} from '../../ts/report/evaluation-file.js'
import { chooseGroups, type Look, withPictures } from '../../ts/report/gallery.js'
import { histogramsOf } from '../../ts/report/histograms.js'
import { type ReportInput, writeReport } from '../../ts/report/report.js'
import { chartSvg } from '../../ts/report/static-chart.js'
import { temporaryFolder } from '../files/temporary-folder.js'

const HOSTILE = `</script></title><script>document.title='owned'</script><img src=x onerror="document.title='owned'">'"&`

const history = [
  ...Array.from({ length: 2000 }, (_, i) => ({
    kind: 'step',
    step: i + 1,
    loss: 5 / (i + 1),
    learningRate: 1e-3,
    imagesPerSecond: 100,
  })),
  { kind: 'validation', step: 1000, loss: 2, bleu4: 0.1, cider: 0.3, best: true, samples: [] },
  { kind: 'validation', step: 2000, loss: 1, bleu4: 0.2, cider: 0.5, best: true, samples: [] },
]

/** An evaluation of three images in `folder`, one of which is no image. */
async function evaluation(folder: string): Promise<ReportedEvaluation> {
  const picture = sharp({ create: { width: 300, height: 200, channels: 3, background: 'red' } })
  await picture.png().toFile(join(folder, 'one.png'))
  await picture.jpeg().toFile(join(folder, 'two.jpg'))
  const captions = ['a red wall', 'two dogs', HOSTILE]
  const images = ['one.png', 'two.jpg', 'gone.png'].map((name, i) => ({
    id: name,
    path: join(folder, name),
    captions: [captions[i] ?? '', `${captions[i]} again`],
  }))
  const perImage = images.map(() => ({ nats: 4, tokens: 2 }))
  const loss = { loss: 2, accuracy: 0.5, accuracy5: 0.75, tokens: 6, perImage }
  const result = judge({
    images,
    skipped: 1,
    warnings: [`reading image "${HOSTILE}": it is empty`],
    loss,
    shuffledLoss: { ...loss, loss: 3, perImage: perImage.map(() => ({ nats: 6, tokens: 2 })) },
    textOnlyLoss: { ...loss, loss: 2.9, perImage: perImage.map(() => ({ nats: 5.8, tokens: 2 })) },
    captions: captions.map((text) => ({ text, score: -1 })),
    captionSeconds: 1,
    trainingCaptions: captions,
    exact: [true, false, false],
    jars: { corpus: {}, perImage: [] },
    seed: 0,
  })
  return {
    split: 'val',
    problems: [{ kind: HOSTILE, count: 1, examples: [HOSTILE] }],
    decoding: { beam: 3, maxTokens: 30, lengthPenalty: 0.7 },
    ...result,
  }
}

/** Heat maps for one.png: a word with a map, and text without one. */
const looks = new Map<string, Look>([
  [
    'one.png',
    {
      square: true,
      words: [{ text: 'a red', map: Buffer.from('map') }, { text: HOSTILE }],
      sheet: async () => Buffer.from(''),
    },
  ],
])

async function written(folder: string, changes: Partial<ReportInput> = {}) {
  const path = join(folder, 'report.html')
  const result = await evaluation(folder)
  await writeReport(path, {
    title: HOSTILE,
    summary: HOSTILE,
    run: [[HOSTILE, HOSTILE]],
    data: [[HOSTILE, HOSTILE]],
    problems: [[HOSTILE, HOSTILE]],
    config: { optimizer: { name: HOSTILE, betas: [0.9, 0.999] }, seed: 3 },
    curves: chartsOf(history),
    histograms: histogramsOf(result),
    evaluation: result,
    pictures: await withPictures(chooseGroups(result, 0), ({ path }) => readFile(path), looks),
    ...changes,
  })
  return { path, text: await readFile(path, 'utf8') }
}

/** The text without scripts and styles: what is markup and words. */
function withoutCode(text: string): string {
  return text.replace(/<(script|style)\b[^>]*>.*?<\/\1>/gs, '')
}

test('the page stands alone', async (t) => {
  const { text } = await written(await temporaryFolder(t))
  const markup = withoutCode(text)
  // The photograph that a heat map lies on is in the page already.
  const code = text.replace(/url\(\$\{photo\}\)/, '')
  t.is([...text.matchAll(/<script>/g)].length, 3)
  t.deepEqual(text.match(/<script [^>]*>/g), ['<script type="application/json" id="charts">'])
  t.notRegex(markup, /<(link|iframe|object|embed|base|form)\b/)
  t.false(/@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\b/.test(code))
  t.false(/https?:/.test(markup.replaceAll('http://www.w3.org/2000/svg', '')))
  const sources = [...markup.matchAll(/<[^>]*\s(?:src|href|srcset|action)=("[^"]*"|\S+)/g)]
  t.is(sources.length, 3)
  for (const [, source] of sources) t.regex(source ?? '', /^"data:image\/(jpeg|png);base64,/)
  t.regex(markup, /default-src &#39;none&#39;/)
})

test('text of captions, settings and messages stays text', async (t) => {
  const { text } = await written(await temporaryFolder(t))
  const markup = withoutCode(text)
  t.notRegex(markup, /<img src=x|<script|onerror="/)
  t.true(markup.includes('&#60;img src=x onerror='))
  t.regex(markup, /optimizer\.betas<\/th>\s*<td>0\.9, 0\.999/)
})

test('the page shows scores, floors, intervals, pictures and what could not be shown', async (t) => {
  const folder = await temporaryFolder(t)
  const { text } = await written(folder)
  const { floors, intervals, cider } = await evaluation(folder)
  const markup = withoutCode(text)
  const hundred = (value: number) => (100 * value).toFixed(1)
  for (const value of [cider, floors.constant.cider, floors.random.cider, intervals.cider.low])
    t.true(markup.includes(hundred(value)), hundred(value))
  for (const loss of ['2.000', '2.900', '3.000']) t.true(markup.includes(`${loss}</span>`), loss)
  t.regex(markup, /33\.3 %/)
  t.regex(markup, /cannot be shown/)
  t.regex(markup, /<p class="caption" dir="auto"><span data-word="0">a red<\/span>/)
  t.regex(markup, /<p class="caption" dir="auto">two dogs<\/p>/)
})

test('the page shows METEOR with its interval and floors, and signs of health', async (t) => {
  const folder = await temporaryFolder(t)
  const markup = withoutCode((await written(folder)).text)
  const result = await evaluation(folder)
  const { floors, intervals } = result
  const hundred = (value: number) => (100 * value).toFixed(1)
  const cells = (name: string) => {
    const [, row = ''] =
      new RegExp(`<tr><th scope="row">${name}</th>(.*?)</tr>`, 's').exec(markup) ?? []
    return [...row.matchAll(/<td[^>]*>(.*?)<\/td>/gs)].map(([, text]) => text)
  }
  const { low, high } = intervals.meteorExactStemSynonym ?? { low: -1, high: -1 }
  t.deepEqual(cells('METEOR, exact \\+ stem \\+ synonym'), [
    hundred(result.meteorExactStemSynonym ?? -1),
    `${hundred(low)} to ${hundred(high)}`,
    ...[floors.constant, floors.random, floors.human].map((floor) =>
      hundred(floor?.meteorExactStemSynonym ?? -1),
    ),
  ])
  t.deepEqual(cells('captions that no training image has'), ['0.0 %'])
  t.deepEqual(cells('captions that say three words twice'), ['0.0 %'])
  t.deepEqual(cells('words used'), [String(result.vocabularyUsed)])
  t.true((result.vocabularyUsed ?? 0) > 5)
  t.regex(markup, /Length of captions/)

  const other = { ...result, novel: 0.25, repeatedCaptions: 0.125, vocabularyUsed: 1234 }
  const changed = withoutCode((await written(folder, { evaluation: other })).text)
  for (const text of ['25.0 %', '12.5 %', '1,234'])
    t.true(changed.includes(`<td>${text}</td>`), text)
})

test('the page says what the image is worth over none, also of an evaluation that was kept', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'evaluation.json')
  await writeEvaluation(path, await evaluation(folder))
  const kept = await readEvaluation(path)
  const markup = withoutCode((await written(folder, { evaluation: kept })).text)
  t.regex(markup, /without an image<\/span>\s*<span class="bar"><i[^>]*><\/i>2\.900</)
  t.regex(
    markup,
    /Its image is worth 0\.900 to 0\.900 nats over none and 1\.000 to 1\.000 nats over a wrong one/,
  )
})

test('without an evaluation the page shows the last validation', async (t) => {
  const folder = await temporaryFolder(t)
  const tilesOf = async (validation: ReportInput['validation']) => {
    const { text } = await written(folder, { evaluation: undefined, validation })
    return [...text.matchAll(/<div class="tile"><b>(.*?)<\/b><span>(.*?)<\/span>/g)].map(
      ([, value, name]) => `${name} ${value}`,
    )
  }
  t.deepEqual(await tilesOf({ step: 30, loss: 1.5, bleu4: 0.21, cider: 0.5 }), [
    'BLEU-4 21.0',
    'CIDEr-D 50.0',
    'loss, nats per token 1.500',
    'step of this validation 30',
  ])
  t.is((await tilesOf({ step: 30, loss: Number.NaN })).length, 2)
  t.deepEqual(await tilesOf(undefined), [])
})

test('a verdict says whether the image is used', async (t) => {
  const folder = await temporaryFolder(t)
  const result = await evaluation(folder)
  const verdictOf = async (loss: number, shuffledLoss: number, textOnlyLoss: number) => {
    const { text } = await written(folder, {
      evaluation: { ...result, loss, shuffledLoss, textOnlyLoss },
    })
    return /look at the image\?<\/h2>\s*<p>(\w+)/.exec(text)?.[1]
  }
  t.is(await verdictOf(2, 3, 2.5), 'Yes')
  t.is(await verdictOf(2.4, 3, 2.5), 'Hardly')
  t.is(await verdictOf(2, 2.2, 2.5), 'Partly')
})

test('curves: long ones are thinned to means, missing values left out, empty charts dropped', (t) => {
  const charts = chartsOf(history)
  t.deepEqual(
    charts.map(({ title }) => title),
    ['Loss', 'Captions of validation images', 'Learning rate', 'Speed'],
  )
  const [training, validation] = charts[0]?.series ?? []
  const values = training?.values.filter((value) => value !== null) ?? []
  t.is(values.length, 500)
  t.is(values[0], Number(((5 + 5 / 2 + 5 / 3 + 5 / 4) / 4).toPrecision(6)))
  t.deepEqual(
    validation?.values.filter((value) => value !== null),
    [2, 1],
  )
  const selfCritical = history.map((row) => ({ ...row, reward: 0.3 }))
  t.deepEqual(
    chartsOf(selfCritical).map(({ title, series }) => [title, ...series.map(({ label }) => label)]),
    [
      ['Loss', 'validation'],
      ['Captions of validation images', 'BLEU-4', 'CIDEr-D'],
      ['Reward', 'reward'],
      ['Self-critical loss', 'loss'],
      ['Learning rate', 'learning rate'],
      ['Speed', 'images/s'],
    ],
    'the loss of self-critical steps is no cross-entropy',
  )
  const broken = [
    { kind: 'step', step: 1, loss: null },
    { kind: 'step', step: 'x', loss: 3 },
    { kind: 'step', step: 2, loss: 3 },
  ]
  t.deepEqual(chartsOf(broken), [])
})

test('histograms count words and scores, in percent', async (t) => {
  const folder = await temporaryFolder(t)
  const [lengths, scores] = histogramsOf(await evaluation(folder))
  const [own, references] = lengths?.series ?? []
  const share = (values: typeof own, words: number) =>
    values?.values[lengths?.x.indexOf(words) ?? -1]
  t.is(share(own, 2), 33.33)
  t.is(share(references, 3), 50, 'of six references, three have three words')
  for (const { values } of [...(lengths?.series ?? []), ...(scores?.series ?? [])])
    t.true(Math.abs(values.reduce((sum: number, value) => sum + (value ?? 0), 0) - 100) < 0.1)
  t.deepEqual(histogramsOf({ ...(await evaluation(folder)), predictions: [] }), [])
})

test('charts on paper: lines stay inside, and axes have round numbers', async (t) => {
  const [loss] = chartsOf(history)
  const svg = chartSvg(loss as Chart)
  const { width, height } = await sharp(
    Buffer.from(svg.replaceAll(/var\([^)]*\)/g, 'red')),
  ).metadata()
  t.deepEqual([width, height], [480, 250])
  const points = [...svg.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)]
  t.true(points.length > 500)
  for (const [, x, y] of points)
    t.true(Number(x) >= 0 && Number(x) <= 480 && Number(y) >= 0 && Number(y) <= 250)
  const labels = [...svg.matchAll(/text-anchor="(?:end|middle)">([^<]+)</g)].map(([, text]) => text)
  t.deepEqual(labels, ['0', '1', '2', '500', '1000', '1500', '2000'])
})

test('a browser draws the curves and runs no script that stands in a text', async (t) => {
  const browser = await firstOf(['/usr/bin/chromium', '/usr/bin/google-chrome'])
  if (browser === undefined) {
    t.log('skipped: no Chromium at /usr/bin/chromium or /usr/bin/google-chrome')
    t.pass()
    return
  }
  const { path } = await written(await temporaryFolder(t))
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--virtual-time-budget=2000']
  const { stdout } = await promisify(execFile)(
    browser,
    [...flags, '--enable-logging=stderr', '--dump-dom', `file://${path}`],
    { timeout: 60_000, maxBuffer: 2 ** 26 },
  )
  t.is([...stdout.matchAll(/<canvas/g)].length, 6)
  t.is([...stdout.matchAll(/class="u-legend/g)].length, 6)
  t.regex(stdout, /<html lang="en" class="drawn">/)
  t.regex(stdout, /<span style="aspect-ratio: 256 \/ 171; background-image: url/)
  t.false(/<title>owned/.test(stdout))
})

async function firstOf(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const there = await access(path).then(
      () => true,
      () => false,
    )
    if (there) return path
  }
  return undefined
}
