/**
 * The requests of one process of a model, from its image to its answer: decoded a few at a time, captioned a batch at a
 * time (batcher.ts). Starting and losing processes is served-model.ts.
 */
import type { Caption } from '../captioner.js'
import type { CaptionOptions } from '../decoding/options.js'
import { type BatchLimits, chooseBatch, type Waiting } from './batcher.js'
import type { Clock } from './clock.js'
import { errorOf, type FromHost, type ToHost } from './protocol.js'

/** A request that was accepted. */
export interface Job {
  readonly id: number
  readonly image: Uint8Array
  readonly options: CaptionOptions
  /** Equal options have equal keys. */
  readonly key: string
  readonly alone: boolean
  readonly onProgress: ((text: string) => void) | undefined
  /** When it was accepted, ms. */
  readonly accepted: number
  /** Whether its answer was given, or nobody waits for it. */
  readonly answered: boolean
  /** Only the first answer counts. */
  answer(answer: Answer): void
}

export type Answer =
  | { readonly caption: Caption; readonly error?: never }
  | { readonly error: unknown; readonly caption?: never }

export interface ProcessLimits extends BatchLimits {
  /** Images decoded at the same time. */
  readonly maxDecoding: number
  /** A process that decodes one image longer than this hangs, ms. */
  readonly longestDecodingMs: number
  /** A process that captions one batch longer than this hangs, ms. */
  readonly longestBatchMs: number
}

export interface ProcessQueueParts {
  readonly clock: Clock
  readonly limits: ProcessLimits
  readonly send: (message: ToHost) => void
  /** The process hangs. */
  readonly onHang: () => void
  /** All of a batch has its answer. @param waited from acceptance to the batch's start, @param took of the batch, ms */
  readonly onBatch: (waited: readonly number[], took: number) => void
}

export interface ProcessQueue {
  add(job: Job): void
  /** Frees the place of a request that was answered from outside, or as soon as the process is done with it. */
  drop(job: Job): void
  receive(message: FromHost): void
  /** Places that are taken. */
  size(): number
  /** Of these, images that are being captioned. */
  running(): number
  /** The process is gone: nothing more happens here. Those it was at work on, and those that it had not begun. */
  lose(): { readonly begun: readonly Job[]; readonly others: readonly Job[] }
}

/** A job whose image is decoded. */
interface ReadyJob extends Waiting {
  readonly job: Job
}

interface Batch {
  readonly left: Map<number, Job>
  readonly waited: readonly number[]
  readonly started: number
  readonly stopWatch: () => void
}

export function createProcessQueue(parts: ProcessQueueParts): ProcessQueue {
  const { clock, limits, send, onHang, onBatch } = parts
  let undecoded: Job[] = []
  const decoding = new Map<number, { readonly job: Job; readonly stopWatch: () => void }>()
  let ready: ReadyJob[] = []
  let batch: Batch | undefined
  let stopWaiting = () => {}

  const coming = (key: string): boolean =>
    [...decoding.values()].some(({ job }) => job.key === key && !job.answered) ||
    undecoded.some((job) => job.key === key)

  const decode = (job: Job): void => {
    const { id, image, options } = job
    const stopWatch = clock.at(clock.now() + limits.longestDecodingMs, onHang)
    decoding.set(id, { job, stopWatch })
    send({ type: 'decode', id, image, options })
  }

  const start = (chosen: readonly ReadyJob[]): void => {
    const started = clock.now()
    const jobs = chosen.map(({ job }) => job)
    ready = ready.filter((one) => !chosen.includes(one))
    batch = {
      left: new Map(jobs.map((job) => [job.id, job])),
      waited: jobs.map(({ accepted }) => started - accepted),
      started,
      stopWatch: clock.at(started + limits.longestBatchMs, onHang),
    }
    const [first] = jobs
    if (first?.onProgress) send({ type: 'stream', id: first.id })
    else send({ type: 'caption', ids: jobs.map(({ id }) => id) })
  }

  const proceed = (): void => {
    while (decoding.size < limits.maxDecoding) {
      const job = undecoded.shift()
      if (!job) break
      decode(job)
    }
    stopWaiting()
    if (batch) return
    const choice = chooseBatch(ready, coming, clock.now(), limits)
    if (choice?.batch) start(choice.batch)
    else if (choice) stopWaiting = clock.at(choice.at, proceed)
  }

  const decoded = (id: number, together: number): void => {
    const found = decoding.get(id)
    if (!found) return
    const { job, stopWatch } = found
    stopWatch()
    decoding.delete(id)
    const { key, alone } = job
    if (job.answered) send({ type: 'forget', id })
    else ready.push({ job, key, alone, together, since: clock.now() })
  }

  const finished = (id: number, answer: Answer): void => {
    const found = decoding.get(id)
    found?.stopWatch()
    decoding.delete(id)
    found?.job.answer(answer)
    batch?.left.get(id)?.answer(answer)
    if (!batch?.left.delete(id) || batch.left.size > 0) return
    const { waited, started, stopWatch } = batch
    stopWatch()
    batch = undefined
    onBatch(waited, clock.now() - started)
  }

  return {
    add: (job) => {
      undecoded.push(job)
      proceed()
    },
    drop: (job) => {
      undecoded = undecoded.filter((one) => one !== job)
      const waits = ready.some((one) => one.job === job)
      if (waits || batch?.left.has(job.id)) send({ type: 'forget', id: job.id })
      ready = ready.filter((one) => one.job !== job)
      proceed()
    },
    receive: (message) => {
      if (message.type === 'decoded') decoded(message.id, message.together)
      if (message.type === 'progress') batch?.left.get(message.id)?.onProgress?.(message.text)
      if (message.type === 'captioned') finished(message.id, { caption: message.caption })
      if (message.type === 'refused') finished(message.id, { error: errorOf(message.problem) })
      proceed()
    },
    size: () => undecoded.length + decoding.size + ready.length + (batch?.left.size ?? 0),
    running: () => batch?.left.size ?? 0,
    lose: () => {
      stopWaiting()
      batch?.stopWatch()
      for (const { stopWatch } of decoding.values()) stopWatch()
      const begun = [...(batch?.left.values() ?? []), ...[...decoding.values()].map((d) => d.job)]
      const others = [...ready.map(({ job }) => job), ...undecoded]
      undecoded = []
      ready = []
      decoding.clear()
      batch = undefined
      return { begun, others }
    },
  }
}
