/** The report's page: stands alone, shows hostile text as text, and draws its curves in a browser where one is installed. */
import { execFile } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import sharp from 'sharp'
import type { EvaluateResult } from '../../ts/evaluate/evaluate.js'
import { judge } from '../../ts/evaluate/judge.js'
import { chartsOf } from '../../ts/report/curves.js'
import { type ReportInput, writeReport } from '../../ts/report/report.js'
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
async function evaluation(folder: string): Promise<EvaluateResult> {
  const picture = sharp({ create: { width: 300, height: 200, channels: 3, background: 'red' } })
  await picture.png().toFile(join(folder, 'one.png'))
  await picture.jpeg().toFile(join(folder, 'two.jpg'))
  const captions = ['a red wall', 'two dogs', HOSTILE]
  const images = ['one.png', 'two.jpg', 'gone.png'].map((name, i) => ({
    id: name,
    path: join(folder, name),
    captions: [captions[i] ?? '', `${captions[i]} again`],
    split: 'val' as const,
  }))
  const perImage = images.map(() => ({ nats: 4, tokens: 2 }))
  const loss = { loss: 2, accuracy: 0.5, accuracy5: 0.75, tokens: 6, perImage }
  const measured = {
    images,
    errors: [new Error(`reading image "${HOSTILE}": it is empty`)],
    loss,
    shuffledLoss: { ...loss, loss: 3, perImage: perImage.map(() => ({ nats: 6, tokens: 2 })) },
    captions: captions.map((text) => ({ text, score: -1, tokens: [1] })),
    captionSeconds: 1,
  }
  return {
    split: 'val',
    problems: [{ kind: HOSTILE, count: 1, examples: [HOSTILE] }],
    decoding: { beam: 3, maxTokens: 30, lengthPenalty: 0.7 },
    ...judge(measured, captions, [true, false, false], 0),
  }
}

async function written(folder: string): Promise<{ path: string; text: string }> {
  const path = join(folder, 'report.html')
  const input: ReportInput = {
    title: HOSTILE,
    summary: HOSTILE,
    device: HOSTILE,
    facts: [[HOSTILE, HOSTILE]],
    config: { optimizer: { name: HOSTILE, betas: [0.9, 0.999] }, seed: 3 },
    history,
    evaluation: await evaluation(folder),
    textOnlyLoss: 2.9,
  }
  await writeReport(path, input)
  return { path, text: await readFile(path, 'utf8') }
}

/** The text without scripts and styles: what is markup and words. */
function withoutCode(text: string): string {
  return text.replace(/<(script|style)>.*?<\/\1>/gs, '')
}

test('the page stands alone', async (t) => {
  const { text } = await written(await temporaryFolder(t))
  const markup = withoutCode(text)
  t.is([...text.matchAll(/<script>/g)].length, 2)
  t.false(/<script[^>]/.test(text))
  t.notRegex(markup, /<(link|iframe|object|embed|base|form)\b/)
  t.false(/@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\b/.test(text))
  t.false(/https?:/.test(markup))
  const sources = [...markup.matchAll(/<[^>]*\s(?:src|href|srcset|action)=("[^"]*"|\S+)/g)]
  t.is(sources.length, 2)
  for (const [, source] of sources) t.regex(source ?? '', /^"data:image\/jpeg;base64,/)
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
  t.regex(markup, /<p class="caption" dir="auto">a red wall<\/p>/)
})

test('a verdict says whether the image is used', async (t) => {
  const folder = await temporaryFolder(t)
  const result = await evaluation(folder)
  const path = join(folder, 'verdict.html')
  const verdictOf = async (loss: number, shuffledLoss: number, textOnlyLoss: number) => {
    await writeReport(path, {
      title: 't',
      evaluation: { ...result, loss, shuffledLoss },
      textOnlyLoss,
    })
    return /look at the image\?<\/h2>\s*<p>(\w+)/.exec(await readFile(path, 'utf8'))?.[1]
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
  const broken = [
    { kind: 'step', step: 1, loss: null },
    { kind: 'step', step: 'x', loss: 3 },
    { kind: 'step', step: 2, loss: 3 },
  ]
  t.deepEqual(chartsOf(broken), [])
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
  t.is([...stdout.matchAll(/<canvas/g)].length, 4)
  t.is([...stdout.matchAll(/class="u-legend/g)].length, 4)
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
