/** The page in a real browser, before the real server with a tiny model: what people do with it, by hand and by keyboard. */
import { tmpdir } from 'node:os'
import anyTest from 'ava'
import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
import { drop, openBrowser, openPage, type TestFile, whyNoBrowser } from './browser.js'
import { form, picture, type Serving, startServing } from './serving.js'

if (whyNoBrowser) console.log(`skipped: the page's tests, as ${whyNoBrowser}`)
const test = whyNoBrowser ? anyTest.skip : anyTest.serial

let browser: Browser
let serving: Serving

if (!whyNoBrowser) {
  anyTest.before(async () => {
    browser = await openBrowser()
    serving = await startServing()
  })
  anyTest.after.always(async () => {
    await browser?.close()
    await serving?.end()
  })
}

async function file(seed: number, name = `picture ${seed}.png`): Promise<TestFile> {
  return { name, mimeType: 'image/png', buffer: await picture(seed) }
}

const caption = (page: Page) => page.locator('.card').first().locator('.caption')
const text = async (page: Page) =>
  (await caption(page).locator('.word').allTextContents()).join(' ')
const done = (page: Page, count = 1) =>
  page
    .locator('[data-state="done"]')
    .nth(count - 1)
    .waitFor()
const clipboard = (page: Page) => page.evaluate('navigator.clipboard.readText()')

/** What the server says of the same picture with the same options. */
async function reply(content: TestFile) {
  const fields = { beam: '3', num_captions: '3', attention: 'true' }
  const response = await fetch(`${serving.url}/caption`, form([content.buffer], fields))
  return (await response.json()) as {
    caption: string
    captions: { caption: string; score: number }[]
    attention: { width: number; words: { weights: number[] }[] }
  }
}

test('a dropped picture: its caption grows word by word, alternatives, copying', async (t) => {
  const { page, complaints } = await openPage(browser, serving.url, {
    reducedMotion: 'no-preference',
  })
  const image = await file(1, '"><img src=x onerror=alert(1)>.png')
  const expected = await reply(image)
  t.true(expected.captions.length > 1)
  await page.evaluate(`window.lengths = []
    new MutationObserver(() => {
      const words = document.querySelectorAll('.caption .word').length
      if (words !== lengths.at(-1)) lengths.push(words)
    }).observe(document.getElementById('cards'), { childList: true, subtree: true })`)
  await drop(page, [image])
  await done(page)
  t.is(await text(page), expected.caption)
  // With blanks between the words, for those who select and copy it.
  t.is((await caption(page).textContent())?.trim() ?? '', expected.caption)
  t.is(await page.locator('.photo').getAttribute('alt'), expected.caption)
  t.is(await page.locator('.name').textContent(), image.name)

  const lengths = (await page.evaluate('lengths')) as number[]
  t.true(lengths.length >= expected.caption.split(' ').length)
  for (const [i, length] of lengths.entries()) t.true(length <= (lengths[i - 1] ?? 0) + 1)

  t.deepEqual(
    await page.locator('.choice-text').allTextContents(),
    expected.captions.map((other) => other.caption),
  )
  const scores = await page.locator('.choice .score').allTextContents()
  t.deepEqual(
    scores.map((score) => score.replace('\u2212', '-')),
    expected.captions.map(({ score }) => score.toFixed(2)),
  )
  await page.getByRole('button', { name: 'Copy text' }).click()
  await page.getByRole('button', { name: 'Copied' }).waitFor()
  t.is(await clipboard(page), expected.caption)

  const other = expected.captions[1]?.caption ?? ''
  await page.locator('.choice').nth(1).click()
  t.is(await text(page), other)
  await page.getByRole('button', { name: 'Copy alt' }).click()
  await page.getByRole('button', { name: 'Copied' }).nth(1).waitFor()
  t.is(await clipboard(page), `alt="${other}"`)

  const news = await page.locator('#news p').allTextContents()
  t.deepEqual(news.slice(0, 2), [`Captioning ${image.name}`, `${image.name}: ${expected.caption}`])
  t.deepEqual(complaints, [])
})

test('pointing at a word shows where the model looked; so does a tap', async (t) => {
  const { page, complaints } = await openPage(browser, serving.url, { hasTouch: true })
  const image = await file(2)
  await drop(page, [image])
  await done(page)
  const looks = async () => {
    // Until the heat map has faded in or out.
    await page.waitForTimeout(50)
    const shot = await page.locator('.picture').screenshot()
    return await sharp(shot).removeAlpha().raw().toBuffer()
  }
  const plain = await looks()
  await caption(page).locator('.word').first().hover()
  const heated = await looks()
  const changed = plain.filter((byte, i) => Math.abs(byte - (heated[i] ?? 0)) > 8)
  t.true(changed.length > plain.length / 10)

  // The place that the first word took most from is warmer than the one it took least from.
  const { attention } = await reply(image)
  const weights = attention.words[0]?.weights ?? []
  const [most, least] = [Math.max(...weights), Math.min(...weights)]
  const places = [weights.indexOf(most), weights.indexOf(least)].map((cell) => [
    cell % attention.width,
    Math.floor(cell / attention.width),
  ])
  const [warm = 0, cold = 0] = (await page.evaluate(`(() => {
    const canvas = document.querySelector('.heat')
    const { width, height } = canvas
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height)
    const at = (place, length) => Math.floor(((place + 0.5) / ${attention.width}) * length)
    return ${JSON.stringify(places)}.map(([x, y]) => data[4 * (at(y, height) * width + at(x, width))])
  })()`)) as number[]
  t.true(warm > cold + 50, `${warm}, ${cold}`)

  await page.mouse.move(0, 0)
  t.true(plain.equals(await looks()))
  await caption(page).locator('.word').nth(1).tap()
  t.false(plain.equals(await looks()))
  await caption(page).locator('.word').nth(1).tap()
  t.true(plain.equals(await looks()))
  t.deepEqual(complaints, [])
})

test('several at once: each its card, in order; one that is no picture, one cancelled and tried again', async (t) => {
  const { page, complaints } = await openPage(browser, serving.url)
  const bad = { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('no picture') }
  const files = [bad, ...(await Promise.all([1, 2, 3, 4, 5, 6].map((seed) => file(seed))))]
  const cancelLast = `
    const last = document.querySelector('.card:last-child')
    last.querySelector('.actions button').click()`
  await drop(page, files, cancelLast)
  await done(page, 5)
  t.deepEqual(
    await page.locator('.name').allTextContents(),
    files.map(({ name }) => name),
  )
  const first = page.locator('.card').first()
  t.is(await first.getAttribute('data-state'), 'failed')
  t.regex((await first.locator('.status').textContent()) ?? '', /not a picture/)
  const last = page.locator('.card').last()
  t.is(await last.getAttribute('data-state'), 'cancelled')
  await last.getByRole('button', { name: 'Try again' }).click()
  await done(page, 6)
  for (const [i, image] of files.entries()) {
    if (image === bad) continue
    const words = await page.locator('.card').nth(i).locator('.word').allTextContents()
    t.is(words.join(' '), (await reply(image)).caption)
  }
  await page.getByRole('button', { name: 'Remove notes.txt' }).click()
  t.is(await page.locator('.card').count(), 6)
  t.is(await page.evaluate('document.activeElement.ariaLabel'), 'Remove picture 1.png')
  await page.getByRole('button', { name: 'Remove all' }).click()
  t.is(await page.locator('.card').count(), 0)
  t.true(await page.getByRole('heading', { name: 'What is in your picture?' }).isVisible())
  t.deepEqual(
    complaints.filter((words) => !words.includes('422')),
    [],
  )
})

test('pasted, and taken with the camera', async (t) => {
  const { page, complaints } = await openPage(browser, serving.url)
  const image = await file(3)
  await page.evaluate(`(async () => {
    const bytes = Uint8Array.from(atob('${image.buffer.toString('base64')}'), (c) => c.charCodeAt(0))
    const png = new Blob([bytes], { type: 'image/png' })
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': png })])
  })()`)
  await page.keyboard.press('Control+V')
  await done(page)
  await page.getByRole('button', { name: 'Camera' }).click()
  await page.getByRole('button', { name: 'Take picture' }).click()
  await done(page, 2)
  t.deepEqual((await page.locator('.name').allTextContents())[0], 'camera.jpg')
  const [width] = (await page.evaluate(
    `[...document.querySelectorAll('.photo')].map((photo) => photo.naturalWidth)`,
  )) as number[]
  t.true((width ?? 0) >= 320)
  t.false(await page.locator('#camera-dialog').isVisible())
  t.deepEqual(complaints, [])
})

test('a camera that was closed and opened again while the browser asked is let go of', async (t) => {
  const { page } = await openPage(browser, serving.url)
  await page.evaluate(`(() => {
    const { mediaDevices } = navigator
    const open = mediaDevices.getUserMedia.bind(mediaDevices)
    const permitted = new Promise((resolve) => { window.permit = resolve })
    window.tracks = []
    window.bothOpen = new Promise((resolve) => { window.secondOpen = resolve })
    mediaDevices.getUserMedia = async (wanted) => {
      const stream = await open(wanted)
      tracks.push(...stream.getTracks())
      if (tracks.length === 2) secondOpen()
      await permitted
      return stream
    }
  })()`)
  const [open, close] = ['Camera', 'Close'].map((name) => page.getByRole('button', { name }))
  await open?.click()
  await close?.click()
  await open?.click()
  // Not waitForFunction, which evaluates text within the page when it asks again: the page's policy forbids that.
  await page.evaluate('bothOpen')
  await page.evaluate('permit()')
  await page.locator('#shoot:enabled').waitFor()
  // A dialog tells that it was closed some time after it is.
  await page.evaluate(`void (window.dialogClosed = new Promise((done) => {
    document.getElementById('camera-dialog').addEventListener('close', done)
  }))`)
  await close?.click()
  await page.evaluate('window.dialogClosed')
  t.deepEqual(await page.evaluate('tracks.map(({ readyState }) => readyState)'), ['ended', 'ended'])
})

test('a folder that is dropped says so, and a whole number is made of half a beam', async (t) => {
  const { page } = await openPage(browser, serving.url)
  const devtools = await page.context().newCDPSession(page)
  const data = { items: [], files: [tmpdir()], dragOperationsMask: 1 }
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
    await devtools.send('Input.dispatchDragEvent', { type, x: 200, y: 200, data })
  const status = page.locator('[data-state="failed"] .status')
  t.regex((await status.textContent()) ?? '', /cannot be read\. Is it a folder/)
  await page.getByRole('button', { name: 'Options' }).click()
  await page.getByLabel('Beam width').fill('3.5')
  await drop(page, [await file(1)])
  await done(page)
})

test('a server that does not answer at first is asked again', async (t) => {
  const { page } = await openPage(browser, serving.url)
  let asked = 0
  await page.route('**/models', (route) => (asked++ === 0 ? route.abort() : route.continue()))
  await page.reload()
  await page.locator('#model-facts').getByText('does not answer').waitFor()
  await page.locator('#model-facts').getByText('words').waitFor()
  t.is(asked, 2)
})

test('by keyboard alone, from the choice of a file to the copied caption', async (t) => {
  const { page, complaints } = await openPage(browser, serving.url)
  const image = await file(4)
  const expected = await reply(image)
  const { keyboard } = page
  /** Presses Tab until the focus is where it is wanted. */
  const tabTo = async (selector: string) => {
    for (let i = 0; i < 40; i++) {
      await keyboard.press('Tab')
      if (await page.evaluate(`document.activeElement.matches(${JSON.stringify(selector)})`)) {
        const outline = await page.evaluate(
          `getComputedStyle(document.activeElement.closest('.choice') ?? document.activeElement).outlineStyle`,
        )
        return t.is(outline, 'solid', `the focus on ${selector} is seen`)
      }
    }
    t.fail(`Tab does not reach ${selector}`)
  }
  const chooser = page.waitForEvent('filechooser')
  await tabTo('#choose')
  await keyboard.press('Enter')
  await (await chooser).setFiles([image])
  await done(page)

  await tabTo('[role="option"]')
  t.is(await page.locator('.looked').count(), 1)
  t.true(await page.locator('.heat.shown').isVisible())
  await keyboard.press('ArrowRight')
  t.is(await page.evaluate('document.activeElement.ariaSelected'), 'true')
  t.is(await page.locator('.looked').textContent(), expected.caption.split(' ')[1] ?? '')
  await keyboard.press('End')
  t.is(await page.locator('.looked').textContent(), expected.caption.split(' ').at(-1) ?? '')
  await keyboard.press('Escape')
  t.is(await page.locator('.heat.shown').count(), 0)

  await tabTo('.choice input')
  await keyboard.press('ArrowDown')
  t.is(await text(page), expected.captions[1]?.caption ?? '')
  await tabTo('.actions button')
  await keyboard.press('Enter')
  await page.getByRole('button', { name: 'Copied' }).waitFor()
  t.is(await clipboard(page), expected.captions[1]?.caption ?? '')
  t.deepEqual(complaints, [])
})

test('options: samples with a seed, a beginning, one caption', async (t) => {
  const { page, complaints } = await openPage(browser, serving.url)
  await page.getByRole('button', { name: 'Options' }).click()
  t.false(await page.getByLabel('Temperature').isVisible())
  await page.getByText('By chance').click()
  await page.getByLabel('Seed').fill('11')
  await page.getByLabel('Captions', { exact: true }).fill('1')
  await page.getByLabel('Begins with').fill('word5 word6')
  await drop(page, [await file(5)])
  await done(page)
  const sampled = await text(page)
  t.regex(sampled, /^word5 word6/)
  t.is(await page.locator('.choice').count(), 0)
  await page.getByLabel('Temperature').fill('5')
  await page.getByRole('button', { name: 'Caption again' }).click()
  await page
    .locator('[data-state="waiting"], [data-state="sending"]')
    .first()
    .waitFor({ state: 'detached' })
  await done(page)
  t.not(await text(page), sampled)
  t.deepEqual(complaints, [])
})

test('a busy server is asked again after the time that it says', async (t) => {
  const busy = await startServing({ maxQueue: 1 })
  try {
    const { page, complaints } = await openPage(browser, busy.url)
    await page.evaluate(`window.said = new Set()
      new MutationObserver(() => {
        for (const status of document.querySelectorAll('.status')) said.add(status.textContent)
      }).observe(document.getElementById('cards'), { childList: true, subtree: true })`)
    const files = await Promise.all([1, 2, 3, 4].map((seed) => file(seed)))
    await drop(page, files)
    await done(page, files.length)
    const said = (await page.evaluate('[...said]')) as string[]
    t.true(said.includes('The server is busy. Trying again in 1 s'), said.join('; '))
    t.deepEqual(
      complaints.filter((words) => !words.includes('429')),
      [],
    )
  } finally {
    await busy.end()
  }
})

test('a server that wants a token is given it', async (t) => {
  const guarded = await startServing({ token: 'open-sesame' })
  try {
    const { page, complaints } = await openPage(browser, guarded.url, {}, 'access token')
    await page.getByLabel('Access token').fill('open-sesame')
    await page.keyboard.press('Tab')
    await page.locator('#model-facts').getByText('words').waitFor()
    await drop(page, [await file(1)])
    await done(page)
    t.deepEqual(
      complaints.filter((words) => !words.includes('401')),
      [],
    )
  } finally {
    await guarded.end()
  }
})

test('fits a phone, before and after', async (t) => {
  const { page, complaints } = await openPage(browser, serving.url, {
    viewport: { width: 360, height: 740 },
    isMobile: true,
    hasTouch: true,
    colorScheme: 'dark',
  })
  const tooWide = () =>
    page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
  t.is(await tooWide(), 0)
  await page.getByRole('button', { name: 'Options' }).click()
  t.is(await tooWide(), 0)
  const long = await file(6, `${'a-very-long-name-'.repeat(8)}.png`)
  await drop(page, [long, await file(7)])
  await done(page, 2)
  t.is(await tooWide(), 0)
  const small = (await page.evaluate(`[...document.querySelectorAll('button, .choice')]
    .filter((button) => button.offsetParent && button.getBoundingClientRect().height < 24)
    .map((button) => button.textContent)`)) as string[]
  t.deepEqual(small, [])
  t.deepEqual(complaints, [])
})
