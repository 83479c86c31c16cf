/**
 * The process that model-process.ts starts: one model, decoding images and captioning them as the server tells it. It ends
 * when the server's end of the channel is gone; what the server does with signals is none of its business.
 */
import { type Caption, Captioner } from '../captioner.js'
import { type CaptionOptions, decodingOptions } from '../decoding/options.js'
import { ArgumentError, DeviceError } from '../errors.js'
import { modelSpecs } from '../models/model.js'
import { readModelFolder } from '../models/model-folder.js'
import { type DeviceName, fallbackReason, openDevice } from '../native.js'
import { mostAlike } from './alike.js'
import { type FromHost, type HostFacts, problemOf, type ToHost } from './protocol.js'
import { blockOtherFormats, createImageDecoder } from './served-image.js'

interface Decoded {
  readonly pixels: Uint8Array
  readonly options: CaptionOptions
}

const tell = (message: FromHost): void => {
  // The server is gone where there is no channel, and this process soon too.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

async function load(path: string, device: DeviceName) {
  const folder = await readModelFolder(path)
  const { model, generation, tokenizer } = folder
  const opened = openDevice(device)
  const reason = fallbackReason(device, opened)
  if (reason !== undefined) console.error(`captioning with ${path} on the CPU: ${reason}`)
  const captioner = new Captioner(folder, opened)
  const { size } = captioner.image
  // Kernels are prepared when they are first needed.
  await captioner.captionDecoded([new Uint8Array(size * size * 3).fill(128)], {})
  const facts: HostFacts = {
    device: captioner.device,
    image: captioner.image,
    parameters: modelSpecs(model)
      .filter(([, { role }]) => role !== 'statistic')
      .reduce((sum, [, { shape }]) => sum + shape.reduce((a, b) => a * b, 1), 0),
    vocabulary: model.vocabulary,
  }
  /** Most images of these options that may be captioned together. @throws ArgumentError */
  const together = (options: CaptionOptions): number =>
    mostAlike(
      model,
      captioner.device,
      decodingOptions(options, generation, model.config.decoder.maxTokens, tokenizer),
    )
  return { captioner, facts, together }
}

function serve({ captioner, facts, together }: Awaited<ReturnType<typeof load>>): void {
  const decode = createImageDecoder(captioner.image)
  const images = new Map<number, Decoded>()
  let streaming: { readonly id: number; readonly controller: AbortController } | undefined

  const take = (id: number): Decoded => {
    const image = images.get(id)
    if (!image) throw new Error(`image ${id} was not decoded`)
    images.delete(id)
    return image
  }
  const captioned = (id: number, caption: Caption): void => tell({ type: 'captioned', id, caption })
  const refused = (id: number, error: unknown): void => {
    // The device needs a new process: the server starts one when this is gone.
    if (error instanceof DeviceError) {
      console.error(error.message)
      process.exit(1)
    }
    tell({ type: 'refused', id, problem: problemOf(error) })
  }

  const captionTogether = async (ids: readonly number[], decoded: readonly Decoded[]) => {
    const pixels = decoded.map((image) => image.pixels)
    const captions = await captioner.captionDecoded(pixels, decoded[0]?.options ?? {})
    for (const [i, caption] of captions.entries()) captioned(ids[i] ?? 0, caption)
  }

  const caption = async (ids: readonly number[]): Promise<void> => {
    const decoded = ids.map(take)
    try {
      await captionTogether(ids, decoded)
    } catch (error) {
      // Memory that is too small for all may do for each.
      if (ids.length === 1 || error instanceof ArgumentError || error instanceof DeviceError)
        return ids.forEach((id) => void refused(id, error))
      for (const [i, id] of ids.entries())
        await captionTogether([id], decoded.slice(i, i + 1)).catch((own) => refused(id, own))
    }
  }

  const stream = async (id: number): Promise<void> => {
    const { pixels, options } = take(id)
    const controller = new AbortController()
    streaming = { id, controller }
    try {
      const captions = captioner.streamDecoded(pixels, { ...options, signal: controller.signal })
      for await (const item of captions) {
        if (!item.done) tell({ type: 'progress', id, text: item.text })
        else {
          const { done: _, ...caption } = item
          captioned(id, caption)
        }
      }
    } catch (error) {
      refused(id, error)
    } finally {
      streaming = undefined
    }
  }

  process.on('message', async (message: ToHost) => {
    if (message.type === 'caption') return await caption(message.ids)
    const { id } = message
    if (message.type === 'stream') return await stream(id)
    if (message.type === 'forget') {
      images.delete(id)
      if (streaming?.id === id) streaming.controller.abort()
      return
    }
    try {
      const { options } = message
      const most = together(options)
      images.set(id, { pixels: await decode(message.image), options })
      tell({ type: 'decoded', id, together: most })
    } catch (error) {
      refused(id, error)
    }
  })
  tell({ type: 'ready', facts })
}

// A terminal's Ctrl-C and a service manager's SIGTERM go to this process too, while the server still needs it.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit())
blockOtherFormats()
const [folder = '', device = 'auto'] = process.argv.slice(2)
load(folder, device as DeviceName).then(serve, (error) =>
  tell({ type: 'failed', problem: problemOf(error) }),
)
