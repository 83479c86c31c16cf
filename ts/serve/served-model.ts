/**
 * One model that is served: which requests it accepts, and how long they may take. What becomes of them is
 * model-keeper.ts; on any clock, so that it can be simulated.
 */
import type { CaptionOptions } from '../decoding/options.js'
import { QueueFullError, TimeoutError } from '../errors.js'
import {
  createModelKeeper,
  type KeeperLimits,
  type KeeperParts,
  type ModelKeeper,
} from './model-keeper.js'
import type { Answer, Job } from './process-queue.js'
import type { FinishedBatch } from './service.js'

export interface ModelLimits extends KeeperLimits {
  /** Most requests accepted and not yet done with. */
  readonly maxQueue: number
  /** Most bytes of images among them; one image is always taken. */
  readonly maxQueueBytes: number
  /** Longest time from acceptance to answer, ms. */
  readonly timeoutMs: number
}

export interface ServedModelParts extends Omit<KeeperParts, 'onBatch'> {
  readonly limits: ModelLimits
  readonly onBatch: (batch: FinishedBatch) => void
}

export interface JobRequest {
  readonly image: Uint8Array
  readonly options: CaptionOptions
  readonly onProgress?: ((text: string) => void) | undefined
}

export interface ModelService extends Pick<ModelKeeper, 'model' | 'places' | 'load' | 'close'> {
  /**
   * Accepts a request, whose answer comes once, later, and returns what ends it with an error of the caller's.
   * @throws QueueFullError, UnavailableError
   */
  submit(request: JobRequest, onAnswer: (answer: Answer) => void): (reason: unknown) => void
}

export function createServedModel(parts: ServedModelParts): ModelService {
  const { id, clock, limits, onBatch } = parts
  let [lastId, jobs, bytes, msPerImage] = [0, 0, 0, 0]
  const keeper = createModelKeeper({
    ...parts,
    onBatch: (waited, took) => {
      const perImage = took / waited.length
      msPerImage = msPerImage ? 0.8 * msPerImage + 0.2 * perImage : perImage
      onBatch({
        model: id,
        size: waited.length,
        waitedSeconds: waited.map((ms) => ms / 1000),
        seconds: took / 1000,
      })
    },
  })

  const checkRoom = (image: Uint8Array): void => {
    const whyNot = keeper.whyNot()
    if (whyNot) throw whyNot
    const { all } = keeper.places()
    const fits = jobs === 0 || bytes + image.length <= limits.maxQueueBytes
    if (all < limits.maxQueue && fits) return
    const seconds = Math.min(120, Math.max(1, Math.ceil((all * msPerImage) / 1000)))
    throw new QueueFullError(
      `caption: ${all} requests wait for model "${id}" already, and no more are kept. ` +
        `Send it again in ${seconds} s`,
      seconds,
    )
  }

  const submit: ModelService['submit'] = ({ image, options, onProgress }, onAnswer) => {
    checkRoom(image)
    const accepted = clock.now()
    let answered = false
    jobs++
    bytes += image.length
    const job: Job = {
      id: ++lastId,
      image,
      options,
      key: keyOf(options),
      // The attention of captions that were found together is computed together, whose last bits depend on which.
      alone: onProgress !== undefined || options.attention === true,
      accepted,
      onProgress: onProgress && ((text) => tellProgress(onProgress, text)),
      get answered() {
        return answered
      },
      answer: (answer) => {
        if (answered) return
        answered = true
        jobs--
        bytes -= image.length
        stopTimer()
        onAnswer(answer)
      },
    }
    const end = (error: unknown): void => {
      if (answered) return
      job.answer({ error })
      keeper.drop(job)
    }
    const tellProgress = (listener: (text: string) => void, text: string): void => {
      try {
        if (!answered) listener(text)
      } catch (error) {
        end(error)
      }
    }
    const stopTimer = clock.at(accepted + limits.timeoutMs, () =>
      end(
        new TimeoutError(
          `caption: no caption within ${limits.timeoutMs / 1000} s. The server has more work than it can do: ` +
            'send it again later, or raise the time-out',
        ),
      ),
    )
    keeper.add(job)
    return end
  }

  return { ...keeper, submit }
}

/** The same text for options that mean the same. */
function keyOf(options: CaptionOptions): string {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return JSON.stringify(given.sort(([a], [b]) => (a < b ? -1 : 1)))
}
