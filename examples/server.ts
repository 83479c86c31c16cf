/**
 * The least server that captions: POST the bytes of a picture, get JSON. `node dist/examples/server.js ./runs/mine 8013`,
 * then `curl --data-binary @photo.jpg http://127.0.0.1:8013/`. `captioneer serve` is what to use for others: it has
 * batches, a bounded queue, health checks, metrics and a page; this is for a program that has a server already.
 */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Captioner, ImageError, loadCaptioner } from 'captioneer'

const [model, port = '8013'] = process.argv.slice(2)
if (model === undefined) throw new Error('expected a model folder')

const mostBytes = 10 * 1024 ** 2
const captioner: Captioner = await loadCaptioner(model)

const server = createServer(async (request, response) => {
  const answer = (status: number, body: object) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  if (request.method !== 'POST') return void answer(405, { error: 'POST a picture' })
  try {
    const image = await bytesOf(request)
    if (image === undefined) return void answer(413, { error: 'more than 10 MiB' })
    const { text, score } = await captioner.caption(image, { beam: 3 })
    answer(200, { caption: text, score })
  } catch (error) {
    const faulty = error instanceof ImageError
    if (!faulty) console.error(error)
    answer(faulty ? 400 : 500, { error: faulty ? error.message : 'captioning failed' })
  }
})
server.listen(Number(port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
})

process.once('SIGTERM', () => server.close(() => captioner.close()))

/** The body, or undefined when it is too large. */
async function bytesOf(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > mostBytes) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
