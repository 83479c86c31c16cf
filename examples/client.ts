/**
 * Asks a running `captioneer serve` for captions, without captioneer installed:
 * `node dist/examples/client.js http://127.0.0.1:8012 photo.jpg ...`. Shows the options of a request, what to do when the
 * server is busy, and how an error arrives. docs/serving.md has the whole interface.
 */
import { openAsBlob } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

interface Reply {
  readonly image: string
  readonly caption: string
  readonly score: number
}

const [server, ...pictures] = process.argv.slice(2)
if (server === undefined || pictures.length === 0) {
  throw new Error('expected the address of a server and pictures')
}

for (const picture of pictures) {
  const { image, caption, score } = await captionOf(picture)
  console.log(`${image}: ${caption} (${score.toFixed(2)})`)
}

async function captionOf(picture: string): Promise<Reply> {
  for (let attempt = 1; ; attempt++) {
    const form = new FormData()
    form.append('file', await openAsBlob(picture), basename(picture))
    form.append('beam', '3')
    const response = await fetch(new URL('/caption', server), {
      method: 'POST',
      body: form,
      signal: AbortSignal.timeout(60_000),
    })
    if (response.ok) return (await response.json()) as Reply
    // Busy (429) or just starting (503): the server says how long to wait.
    if (![429, 503].includes(response.status) || attempt === 5) {
      throw new Error(`${picture}: ${response.status} ${await response.text()}`)
    }
    await response.body?.cancel()
    await wait(1000 * Number(response.headers.get('retry-after') ?? 1))
  }
}
