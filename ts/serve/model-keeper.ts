/**
 * The processes of one model, as they come and go: loaded, lost and started again, replaced by newer ones, closed. Every
 * job that it is given is answered or, where its process had not begun with it, given to the next one. On any clock and any
 * kind of process, so that it can be simulated.
 */
import { UnavailableError } from '../errors.js'
import type { Clock } from './clock.js'
import {
  createProcessQueue,
  type Job,
  type ProcessLimits,
  type ProcessQueue,
  type ProcessQueueParts,
} from './process-queue.js'
import { errorOf, type FromHost, type HostFacts, type ToHost } from './protocol.js'
import type { ServedModel } from './service.js'

/** A process with the model, from its start on. */
export interface ModelProcess {
  send(message: ToHost): void
  /** Ends it; it has nothing to do. */
  end(): void
  /** Ends it at once, whatever it does. */
  kill(): void
}

/** What a process tells. `onExit` comes once and last, with the reason: 'exit code 1', 'signal SIGKILL'. */
export interface ProcessEvents {
  readonly onMessage: (message: FromHost) => void
  readonly onExit: (reason: string) => void
}

export interface KeeperLimits extends ProcessLimits {
  /** A process that loads its model longer than this hangs, ms. */
  readonly longestLoadMs: number
}

export interface KeeperParts {
  readonly id: string
  readonly folder: string
  readonly clock: Clock
  readonly limits: KeeperLimits
  readonly start: (events: ProcessEvents) => ModelProcess
  readonly onBatch: ProcessQueueParts['onBatch']
}

export interface ModelKeeper {
  /** The model that jobs go to; undefined while none is ready. */
  model(): ServedModel | undefined
  /** Why no job is taken now; undefined where one is. While a lost process is started again, jobs are taken. */
  whyNot(): UnavailableError | undefined
  /** Only while `whyNot` gives nothing. */
  add(job: Job): void
  /** Frees the place of a job that was answered from outside, or as soon as its process is done with it. */
  drop(job: Job): void
  /** Places that are taken, and how many of them by images that are being captioned. */
  places(): { readonly all: number; readonly running: number }
  /** Starts a process and sends jobs there once it is ready; `onLoaded` is called once. */
  load(onLoaded: (result: LoadResult) => void): void
  /** Finishes what it was given, ends the processes, then calls `onClosed`. */
  close(onClosed: () => void): void
}

export type LoadResult =
  | { readonly model: ServedModel; readonly error?: never }
  | { readonly error: Error; readonly model?: never }

interface Worker {
  readonly process: ModelProcess
  readonly queue: ProcessQueue
  model?: ServedModel
  failure?: Error
}

const longestPauseMs = 30_000
const firstPauseMs = 500

export function createModelKeeper(parts: KeeperParts): ModelKeeper {
  const { id, folder, clock, limits, start, onBatch } = parts
  const workers = new Set<Worker>()
  let current: Worker | undefined
  let starting: Worker | undefined
  /** Their process is gone, the next one is on its way. */
  let homeless: Job[] = []
  let loads: ((result: LoadResult) => void)[] = []
  let loadsAfter: typeof loads = []
  let onClosed: (() => void) | undefined
  let closed = false
  let wasReady = false
  /** Processes lost since the last caption. */
  let losses = 0
  let stopPause = () => {}
  let stopLoadWatch = () => {}
  let whyDown: Error | undefined

  /** Ends processes that have nothing left to do, and tells when all is done. */
  const tidy = (): void => {
    for (const worker of workers)
      if (worker !== starting && (worker !== current || onClosed) && worker.queue.size() === 0) {
        if (worker === current) current = undefined
        worker.process.end()
      }
    if (!onClosed || closed) return
    if (starting && homeless.length === 0) starting.process.kill()
    if (workers.size > 0 || homeless.length > 0) return
    closed = true
    onClosed()
  }

  const launch = (): void => {
    const worker: Worker = {
      process: start({
        onMessage: (message) => {
          if (message.type === 'ready') ready(worker, message.facts)
          else if (message.type === 'failed') {
            worker.failure = errorOf(message.problem)
            worker.process.kill()
          } else {
            if (message.type === 'captioned') losses = 0
            worker.queue.receive(message)
          }
          tidy()
        },
        onExit: (reason) => {
          workers.delete(worker)
          lost(worker, reason)
          tidy()
        },
      }),
      queue: createProcessQueue({
        clock,
        limits,
        send: (message) => worker.process.send(message),
        onHang: () => worker.process.kill(),
        onBatch,
      }),
    }
    stopPause()
    workers.add(worker)
    starting = worker
    stopLoadWatch = clock.at(clock.now() + limits.longestLoadMs, () => {
      const seconds = limits.longestLoadMs / 1000
      worker.failure = new UnavailableError(`loading model "${id}": not ready within ${seconds} s`)
      worker.process.kill()
    })
  }

  const ready = (worker: Worker, facts: HostFacts): void => {
    worker.model = { ...facts, id, folder, loadedAt: new Date().toISOString() }
    stopLoadWatch()
    starting = undefined
    current = worker
    wasReady = true
    whyDown = undefined
    for (const job of homeless.splice(0)) worker.queue.add(job)
    loaded({ model: worker.model })
  }

  const loaded = (result: LoadResult): void => {
    const told = loads
    const after = loadsAfter
    loads = onClosed ? [] : after
    loadsAfter = []
    if (loads.length > 0) launch()
    for (const tell of told) tell(result)
    if (onClosed) for (const tell of after) tell({ error: unavailable() })
  }

  const lost = (worker: Worker, reason: string): void => {
    const { begun, others } = worker.queue.lose()
    for (const job of begun)
      job.answer({
        error: new UnavailableError(
          `caption: the process of model "${id}" ended (${reason}) while it was at work on this image. Send it again, ` +
            'unless it happened before with the same image',
        ),
      })
    homeless = [...others, ...homeless]
    if (worker === current) {
      current = undefined
      whyDown = new UnavailableError(
        `caption: the process of model "${id}" ended (${reason}) and is being started again. Try again in a moment`,
      )
      losses++
    }
    if (worker === starting) {
      stopLoadWatch()
      starting = undefined
      if (!current) losses++
      const error =
        worker.failure ??
        new UnavailableError(
          onClosed
            ? `loading model "${id}": the service was closed`
            : `loading model "${id}": its process ended before it was ready (${reason})`,
        )
      if (!current) whyDown = error
      loaded({ error })
    }
    if (current) for (const job of homeless.splice(0)) current.queue.add(job)
    else if (!starting) revive()
  }

  /** A new process for the one that was lost: the first at once, the next ones after pauses that grow. */
  const revive = (): void => {
    if (wasReady && losses <= 1 && (!onClosed || homeless.length > 0)) {
      launch()
      return
    }
    for (const job of homeless.splice(0)) job.answer({ error: unavailable() })
    if (!wasReady || onClosed) return
    stopPause()
    const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** (losses - 2))
    stopPause = clock.at(clock.now() + pause, launch)
  }

  const unavailable = (): UnavailableError =>
    new UnavailableError(
      onClosed
        ? 'caption: the server is closing. Send the request to another one, or again when it is back'
        : `caption: model "${id}" is not ready${whyDown ? `: ${whyDown.message}` : '. Try again in a moment'}`,
    )

  return {
    model: () => (onClosed ? undefined : current?.model),
    whyNot: () => (!onClosed && (current || (starting && wasReady)) ? undefined : unavailable()),
    add: (job) => {
      if (current) current.queue.add(job)
      else homeless.push(job)
    },
    drop: (job) => {
      homeless = homeless.filter((one) => one !== job)
      for (const { queue } of workers) queue.drop(job)
      tidy()
    },
    places: () => {
      const queues = [...workers].map(({ queue }) => queue)
      return {
        all: queues.reduce((sum, queue) => sum + queue.size(), homeless.length),
        running: queues.reduce((sum, queue) => sum + queue.running(), 0),
      }
    },
    load: (onLoaded) => {
      if (onClosed) return onLoaded({ error: unavailable() })
      if (starting) return void loadsAfter.push(onLoaded)
      loads.push(onLoaded)
      launch()
    },
    close: (then) => {
      onClosed = then
      stopPause()
      tidy()
    },
  }
}
