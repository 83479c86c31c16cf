/**
 * What the HTTP layer asks of whatever captions: models by id, a bounded queue, one answer for each request. How it is
 * done (batches, processes) is caption-service.ts, whose createCaptionService returns at once and has `loaded` besides;
 * what clients see is routes/.
 */
import type { Caption } from '../captioner.js'
import type { CaptionOptions } from '../decoding/options.js'

/** A model that is loaded and ready. */
export interface ServedModel {
  /** What requests name it by: 1 to 64 letters, digits, `_`, `.` or `-`. */
  readonly id: string
  readonly folder: string
  readonly device: string
  /** Images are made squares of `size` pixels a side, squashed or cropped. */
  readonly image: { readonly size: number; readonly resize: 'squash' | 'crop' }
  readonly parameters: number
  readonly vocabulary: number
  /** When this version of it was loaded, ISO 8601. */
  readonly loadedAt: string
}

export interface CaptionRequest {
  /** Which model; the first one when left out. */
  readonly model?: string | undefined
  /** An encoded image file. */
  readonly image: Uint8Array
  readonly options: CaptionOptions
  /** Aborted when nobody waits for the answer any more: frees the place in the queue. */
  readonly signal: AbortSignal
  /** Called after each token with the best caption that still grows; such a request is captioned on its own. */
  readonly onProgress?: ((text: string) => void) | undefined
}

/** Gauges and counts for /metrics. */
export interface ServiceFacts {
  readonly queued: number
  readonly running: number
  readonly batches: number
  readonly images: number
}

export interface CaptionService {
  /** The models that are ready, the default first. Empty before the first one is. */
  models(): readonly ServedModel[]
  /**
   * Whether a request would be captioned now: a model is ready and nothing is closing. While a process that crashed is
   * started again it is false, yet requests are taken and wait.
   */
  ready(): boolean
  /**
   * @throws QueueFullError at once, TimeoutError, UnavailableError while closing, without a model, or when the process
   *   crashed at this request, ImageError, ArgumentError (an unknown model too); the signal's reason when it is aborted
   */
  caption(request: CaptionRequest): Promise<Caption>
  facts(): ServiceFacts
  /** Seconds that each image waited and was captioned, and the size of each batch, as they end. */
  onBatch(listener: (batch: FinishedBatch) => void): void
  /** Loads a model's folder again and, once that is ready, sends new requests there; the old one finishes its own. */
  reload(id: string): Promise<ServedModel>
  /** Refuses new requests, finishes those accepted, ends. */
  close(): Promise<void>
}

export interface FinishedBatch {
  readonly model: string
  readonly size: number
  readonly waitedSeconds: readonly number[]
  readonly seconds: number
}
