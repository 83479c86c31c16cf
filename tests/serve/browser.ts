/** Debian's Chromium, driven through playwright, for tests of the page; and what a page said that it should not have. */
import { existsSync } from 'node:fs'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const executablePath = '/usr/bin/chromium'

/** Why tests in a browser cannot run here; nothing where they can. */
export const whyNoBrowser = existsSync(executablePath)
  ? undefined
  : `there is no ${executablePath}: apt-get install chromium`

export async function openBrowser(): Promise<Browser> {
  return await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      // A camera that shows a moving clock, and is allowed.
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
    ],
  })
}

export interface OpenPage {
  readonly page: Page
  /** Errors of the console, of scripts, and of the content security policy. */
  readonly complaints: string[]
}

/** @param ready  what the page says of its model once it can be used */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
  ready = 'words',
): Promise<OpenPage> {
  const context = await browser.newContext({
    permissions: ['clipboard-read', 'clipboard-write'],
    reducedMotion: 'reduce',
    ...options,
  })
  const page = await context.newPage()
  // Far longer than it takes, for machines that do much else.
  page.setDefaultTimeout(30_000)
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.goto(url)
  await page.locator('#model-facts').getByText(ready).waitFor()
  return { page, complaints }
}

export interface TestFile {
  readonly name: string
  readonly mimeType: string
  readonly buffer: Buffer
}

/** Lets files fall onto the page. What `then` says, a script, happens before the page does anything else. */
export async function drop(page: Page, files: readonly TestFile[], then = ''): Promise<void> {
  const content = files.map(({ name, mimeType, buffer }) => [
    name,
    mimeType,
    buffer.toString('base64'),
  ])
  await page.evaluate(`(() => {
    const dataTransfer = new DataTransfer()
    for (const [name, type, text] of ${JSON.stringify(content)}) {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
      dataTransfer.items.add(new File([bytes], name, { type }))
    }
    for (const type of ['dragenter', 'dragover', 'drop'])
      document.body.dispatchEvent(
        new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }))
    ${then}
  })()`)
}
