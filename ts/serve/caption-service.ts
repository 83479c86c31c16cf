/**
 * Captions for many clients at a time: models by id, each in a process of its own, so that neither captioning nor decoding
 * is on the caller's event loop and a crash ends only that process. Queue and batches are served-model.ts.
 */
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { Caption } from '../captioner.js'
import { ArgumentError, argumentError, nearest } from '../errors.js'
import type { DeviceName } from '../native.js'
import { systemClock } from './clock.js'
import type { LoadResult } from './model-keeper.js'
import { startModelProcess } from './model-process.js'
import { createServedModel, type ModelLimits, type ModelService } from './served-model.js'
import type { CaptionService, FinishedBatch, ServedModel } from './service.js'

export interface CaptionServiceOptions {
  /** Ids, 1 to 64 letters, digits, `_`, `.` or `-`, and their folders; the first is the default. */
  readonly models: readonly { readonly id: string; readonly folder: string }[]
  /** 'auto' when left out. */
  readonly device?: DeviceName | undefined
  /** 1 to 256: most images captioned together; 16 when left out. */
  readonly maxBatch?: number | undefined
  /** 0 to 1000: how long an image may wait for others that are being decoded while nothing is captioned, ms; 5. */
  readonly maxDelayMs?: number | undefined
  /** 1 to 100000: most requests of a model that wait or are captioned; 128 when left out. */
  readonly maxQueue?: number | undefined
  /** 1 to 4096: most MiB of images among them; 256 when left out. */
  readonly maxQueueMiB?: number | undefined
  /** 0.001 to 3600: longest time from a request to its caption, seconds; 30 when left out. */
  readonly timeoutSeconds?: number | undefined
}

export interface LoadingCaptionService extends CaptionService {
  /**
   * Resolves when every model is ready; rejects with the first failure, after which the others are served all the same
   * until `close()`: CheckpointError for a folder that cannot be loaded, DeviceError for a device that is not there,
   * UnavailableError for a process that did not start.
   */
  readonly loaded: Promise<void>
}

/** For each image that is being decoded. Large ones wait for each other, and the decoder gives up after 5 s. */
const longestDecodingMs = 10_000
const longestLoadMs = 600_000

/**
 * Starts loading the models and returns at once: requests are taken as soon as theirs is ready.
 * @throws ArgumentError for options out of range
 *
 * @example
 * const service = createCaptionService({ models: [{ id: 'photos', folder: './runs/first' }] })
 * await service.loaded
 * const { text } = await service.caption({ image, options: {}, signal: new AbortController().signal })
 * await service.close()
 */
export function createCaptionService(options: CaptionServiceOptions): LoadingCaptionService {
  const { device = 'auto' } = options
  if (device !== 'auto' && device !== 'cpu' && device !== 'cuda')
    throw argumentError('serve', 'device', "'auto', 'cpu' or 'cuda'", device)
  const limits = limitsOf(options)
  const listeners: ((batch: FinishedBatch) => void)[] = []
  const counts = { batches: 0, images: 0 }
  const onBatch = (batch: FinishedBatch): void => {
    counts.batches++
    counts.images += batch.size
    for (const listener of listeners) listener(batch)
  }
  const models = new Map<string, ModelService>()
  for (const { id, folder: path } of checkedModels(options)) {
    const folder = resolve(path)
    const start = startModelProcess.bind(undefined, folder, device)
    models.set(id, createServedModel({ id, folder, clock: systemClock, limits, start, onBatch }))
  }
  const load = (model: ModelService): Promise<ServedModel> =>
    new Promise((done, fail) =>
      model.load(({ model, error }: LoadResult) => (error ? fail(error) : done(model))),
    )
  const loaded = Promise.all([...models.values()].map(load)).then(() => {})
  loaded.catch(() => {}) // whoever awaits it is told

  const ids = [...models.keys()]
  const find = (id = ids[0] ?? ''): ModelService => {
    const model = models.get(id)
    if (model) return model
    const near = nearest(id, ids)
    throw argumentError(
      'caption',
      'model',
      `one of ${ids.join(', ')}${near ? ` (did you mean "${near}"?)` : ''}`,
      id,
    )
  }
  const readyModels = (): ServedModel[] =>
    [...models.values()].flatMap((model) => model.model() ?? [])
  let closing: Promise<void> | undefined

  return {
    loaded,
    models: readyModels,
    ready: () => readyModels().length > 0,
    caption: async ({ model, image, options, signal, onProgress }) => {
      const found = find(model)
      signal.throwIfAborted()
      return await new Promise<Caption>((resolve, reject) => {
        const abort = (): void => end(signal.reason)
        const end = found.submit({ image, options, onProgress }, ({ caption, error }) => {
          signal.removeEventListener('abort', abort)
          if (caption) resolve(caption)
          else reject(error)
        })
        signal.addEventListener('abort', abort, { once: true })
      })
    },
    facts: () => {
      const places = [...models.values()].map((model) => model.places())
      const all = places.reduce((sum, place) => sum + place.all, 0)
      const running = places.reduce((sum, place) => sum + place.running, 0)
      return { ...counts, queued: all - running, running }
    },
    onBatch: (listener) => void listeners.push(listener),
    reload: async (id) => await load(find(id)),
    close: () => {
      closing ??= Promise.all(
        [...models.values()].map((model) => new Promise<void>((done) => model.close(done))),
      ).then(() => {})
      return closing
    },
  }
}

function checkedModels({ models }: CaptionServiceOptions): CaptionServiceOptions['models'] {
  if (models.length === 0) throw new ArgumentError('serve: expected at least one model')
  const seen = new Set<string>()
  for (const { id } of models) {
    if (!/^[\w.-]{1,64}$/.test(id))
      throw argumentError('serve', 'a model id', "1 to 64 letters, digits, '_', '.' or '-'", id)
    if (seen.has(id)) throw new ArgumentError(`serve: two models have the id "${id}"`)
    seen.add(id)
  }
  return models
}

function limitsOf(options: CaptionServiceOptions): ModelLimits {
  const { maxBatch = 16, maxDelayMs = 5, maxQueue = 128 } = options
  const { maxQueueMiB = 256, timeoutSeconds = 30 } = options
  const whole = (name: string, value: number, low: number, high: number): number => {
    if (Number.isInteger(value) && value >= low && value <= high) return value
    throw argumentError('serve', name, `an integer from ${low} to ${high}`, value)
  }
  if (!(maxDelayMs >= 0 && maxDelayMs <= 1000))
    throw argumentError('serve', 'maxDelayMs', 'a number from 0 to 1000', maxDelayMs)
  if (!(timeoutSeconds >= 0.001 && timeoutSeconds <= 3600))
    throw argumentError('serve', 'timeoutSeconds', 'a number from 0.001 to 3600', timeoutSeconds)
  const timeoutMs = 1000 * timeoutSeconds
  const maxDecoding = Math.max(2, availableParallelism())
  return {
    maxBatch: whole('maxBatch', maxBatch, 1, 256),
    maxDelayMs,
    maxQueue: whole('maxQueue', maxQueue, 1, 100_000),
    maxQueueBytes: 2 ** 20 * whole('maxQueueMiB', maxQueueMiB, 1, 4096),
    timeoutMs,
    maxDecoding,
    longestDecodingMs: longestDecodingMs * (maxDecoding + 1),
    longestLoadMs,
    // By then everyone in it has had a TimeoutError.
    longestBatchMs: Math.max(2 * timeoutMs, 60_000),
  }
}
