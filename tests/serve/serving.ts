/** A server that listens, over the real service and a model with random weights; and a client for what fetch cannot say. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import sharp from 'sharp'
import { createRandom } from '../../ts/random.js'
import { type CaptionServiceOptions, createCaptionService } from '../../ts/serve/caption-service.js'
import { createServer, type ServerOptions } from '../../ts/serve/server.js'
import type { CaptionService } from '../../ts/serve/service.js'
import { randomModelFolder } from '../models/random-folder.js'

export interface Serving {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
  /** The model's folder; its id is `words`. */
  readonly folder: string
  readonly service: CaptionService
  /** All lines of the log so far. */
  readonly log: () => string
  /** Stops listening, after what runs. */
  readonly end: () => Promise<void>
}

type ServingOptions = Partial<ServerOptions> & Partial<CaptionServiceOptions>

export async function startServing(options: ServingOptions = {}): Promise<Serving> {
  const folder = await mkdtemp(join(tmpdir(), 'captioneer-serve-'))
  const model = join(folder, 'model')
  await randomModelFolder(model)
  const { maxQueue = 128 } = options
  const service = createCaptionService({
    models: [{ id: 'words', folder: model }],
    device: 'cpu',
    ...options,
  })
  await service.loaded
  let log = ''
  const logStream = new Writable({
    write(chunk, _, done) {
      log += chunk
      done()
    },
  })
  const app = await createServer(service, { modelIds: ['words'], logStream, ...options, maxQueue })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    folder: model,
    service,
    log: () => log,
    end: async () => {
      await service.close()
      app.server.closeIdleConnections()
      await app.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A picture of a few large squares: another one for each seed. */
export async function picture(seed: number, format: 'png' | 'jpeg' | 'webp' = 'png') {
  const random = createRandom(seed)
  const data = Uint8Array.from({ length: 3 * 3 * 3 }, () => random() * 256)
  const image = sharp(data, { raw: { width: 3, height: 3, channels: 3 } }).resize(60, 48, {
    fit: 'fill',
    kernel: 'nearest',
  })
  return await image.toFormat(format).toBuffer()
}

/** A form with images, named `0.png` on, and fields. */
export function form(
  images: readonly Uint8Array[],
  fields: Readonly<Record<string, string>> = {},
): { method: string; body: FormData } {
  const data = new FormData()
  // Behind the files, as they may be: they are read before anything is captioned.
  for (const [i, image] of images.entries())
    data.append('file', new Blob([image as Uint8Array<ArrayBuffer>]), `${i}.png`)
  for (const [name, value] of Object.entries(fields)) data.append(name, value)
  return { method: 'POST', body: data }
}

export interface ErrorReply {
  readonly error: { readonly code: string; readonly message: string }
  readonly requestId: string
}

/** What a server says to these bytes, until it closes the connection or `ms` have passed; then it is left. */
export async function rawReply(port: number, bytes: string | Buffer, ms = 3000): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => {})
  await once(socket, 'connect')
  socket.write(bytes)
  const timer = setTimeout(() => socket.destroy(), ms)
  await new Promise((closed) => socket.once('close', closed))
  clearTimeout(timer)
  return Buffer.concat(chunks).toString()
}
