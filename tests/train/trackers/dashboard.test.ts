/** The live page over real HTTP: its files, its events, what it refuses, and how it ends. */
import { request } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { appendJsonLine } from '../../../ts/files/json-lines.js'
import { dashboardTracker } from '../../../ts/train/trackers/dashboard.js'
import type { Tracker } from '../../../ts/train/trackers/tracker.js'
import { temporaryFolder } from '../../files/temporary-folder.js'
import { sampleImage, stepRow, trackedRun, validationRow } from './rows.js'

async function opened(t: ExecutionContext, startStep = 0): Promise<{ page: Tracker; url: string }> {
  const folder = await temporaryFolder(t)
  for (let step = 1; step <= startStep; step++)
    await appendJsonLine(`${folder}/history.jsonl`, { ...stepRow(step) })
  let url = ''
  const page = await dashboardTracker(trackedRun(folder, startStep), 0, (text) => {
    url = /http:\S+\//.exec(text)?.[0] ?? ''
  })
  return { page, url }
}

/** Reads events until one fits; leaving the loop closes the stream. */
async function eventWhere(
  url: string,
  fits: (event: ReturnType<typeof JSON.parse>) => boolean,
): Promise<ReturnType<typeof JSON.parse>> {
  const { body, headers } = await fetch(`${url}events`)
  if (!/^text\/event-stream/.test(headers.get('content-type') ?? '')) throw new Error('no events')
  let text = ''
  for await (const part of body ?? []) {
    text += Buffer.from(part).toString()
    const events = text.split('\n\n')
    text = events.pop() ?? ''
    for (const event of events.map((line) => JSON.parse(line.replace(/^data: /, ''))))
      if (fits(event)) return event
  }
  throw new Error('the stream ended')
}

/** Any request, as fetch lets nobody choose the host. */
function ask(url: string, options: object): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(url, options, (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end()
  })
}

test('the page loads nothing from elsewhere, and nothing is written into it', async (t) => {
  const { page, url } = await opened(t)
  t.regex(url, /^http:\/\/127\.0\.0\.1:\d+\/$/)
  const response = await fetch(url)
  const text = await response.text()
  t.regex(
    response.headers.get('content-security-policy') ?? '',
    /default-src 'none'; script-src 'self'/,
  )
  t.notRegex(text, /<script>|<style>|\son\w+=|https?:/)
  const paths = [...text.matchAll(/(?:src|href)="(\/[^"]*)"/g)].map(([, path]) => path ?? '')
  t.is(paths.length, 5)
  for (const path of paths) t.is((await fetch(new URL(path, url))).status, 200, path)
  t.is((await fetch(`${url}../../package.json`)).status, 404)
  t.is((await fetch(`${url}pictures/0.png`)).status, 404)
  await page.close('finished')
})

test('events hold curves, figures and captions as they come, pictures their own bytes', async (t) => {
  const { page, url } = await opened(t)
  const before = eventWhere(url, ({ samples }) => samples.length === 1)
  await wait(50)
  for (const step of [1, 2, 3]) page.log(stepRow(step))
  page.log(validationRow(2))
  page.log(validationRow(3))
  const image = await sampleImage(3, '<script>alert(1)</script>')
  await page.image?.(image)
  const { charts, progress, samples, outcome } = await before
  t.is(progress.imagesPerSecond, 120)
  t.is(outcome, undefined)
  const [loss] = charts
  t.is(loss.title, 'Loss')
  t.deepEqual(loss.x, [1, 2, 3])
  t.deepEqual(
    loss.series.map(({ values }: { values: number[] }) => values),
    [
      [5, 2.5, 1.66667],
      [null, 2.5, 2.5],
    ],
  )
  t.is(samples[0].caption, '<script>alert(1)</script>')
  const picture = await fetch(url + samples[0].picture)
  t.is(picture.headers.get('content-type'), 'image/png')
  t.deepEqual(Buffer.from(await picture.arrayBuffer()), Buffer.from(image.png))
  await page.close('finished')
})

test('the end is told, and the server is gone', async (t) => {
  const { page, url } = await opened(t)
  page.log(stepRow(1))
  const last = eventWhere(url, ({ outcome }) => outcome !== undefined)
  await wait(50)
  await page.close('interrupted')
  t.is((await last).outcome, 'interrupted')
  await t.throwsAsync(fetch(url))
})

test('a resumed run shows the steps before, and long runs stay small', async (t) => {
  const { page, url } = await opened(t, 3)
  for (let step = 4; step <= 9000; step++) page.log(stepRow(step))
  const { charts } = await eventWhere(url, () => true)
  t.true(charts[0].x.length <= 600)
  t.true(charts[0].x[0] < 100 && charts[0].x.at(-1) > 8900)
  await page.close('finished')
})

test('it can only be read, and only under the names of this machine', async (t) => {
  const { page, url } = await opened(t)
  t.is(await ask(url, { method: 'POST' }), 405)
  t.is(await ask(url, { headers: { host: 'evil.example' } }), 403)
  t.is(await ask(url, { headers: { host: 'localhost:1234' } }), 200)
  for (const path of ['//', '//:', '/%', 'http://[', '*'])
    t.is(await ask(url, { path }), 404, `${path} is no page, and no end of the run`)
  t.is(await ask(url, { path: '/?from=elsewhere' }), 200)
  const { port } = new URL(url)
  const folder = await temporaryFolder(t)
  await t.throwsAsync(
    dashboardTracker(trackedRun(folder), Number(port), () => {}),
    { message: /^port \d+ is used by another program.*Choose another port$/ },
  )
  await page.close('finished')
})
