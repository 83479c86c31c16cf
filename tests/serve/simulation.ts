/**
 * One random day of a served model, by seed, on a virtual clock and simulated processes: clients send and leave, the
 * operator loads the model again and at last closes it. Says what went wrong.
 */
import type { CaptionOptions } from '../../ts/decoding/options.js'
import { QueueFullError, UnavailableError } from '../../ts/errors.js'
import { createRandom } from '../../ts/random.js'
import type { Answer } from '../../ts/serve/process-queue.js'
import { createServedModel, type ModelLimits } from '../../ts/serve/served-model.js'
import { encodeSent, startSimulated, textOf, type World } from './simulated-process.js'
import { createVirtualClock } from './virtual-clock.js'

export interface Day {
  /** What must not happen, and did. */
  readonly broken: readonly string[]
  /** How many requests ended how. */
  readonly ends: Readonly<Record<string, number>>
}

const optionSets: readonly CaptionOptions[] = [
  {},
  { beam: 1 },
  { temperature: 1, seed: 3 },
  { beam: 2, attention: true },
]

export function simulate(seed: number): Day {
  const random = createRandom(seed)
  const upTo = (most: number): number => Math.floor(random() * most)
  const chance = (share: number): boolean => random() < share
  // On half of all days no process is lost, so that nothing excuses a lost request.
  const faulty = chance(0.5)
  const often = (share: number): number => (faulty && chance(0.5) ? share : 0)
  const limits: ModelLimits = {
    maxBatch: 1 + upTo(6),
    maxDelayMs: 5 * upTo(3),
    maxQueue: 1 + upTo(20),
    maxQueueBytes: chance(0.2) ? 200 : 1e9,
    timeoutMs: chance(0.3) ? 50 + upTo(500) : 1e9,
    maxDecoding: 1 + upTo(3),
    longestDecodingMs: 300,
    longestBatchMs: 400,
    longestLoadMs: 500,
  }
  const clock = createVirtualClock()
  const broken: string[] = []
  const world: World = {
    clock,
    limits,
    random,
    faults: {
      start: often(0.3),
      crash: often(0.03),
      refuse: chance(0.5) ? 0.1 : 0,
      hang: often(0.01),
    },
    broken: (what) => void broken.push(`at ${clock.now()} ms: ${what}`),
    alive: new Set(),
    poisoned: new Set(),
    answered: new Set(),
  }
  const sound = (sound: boolean, what: string): void => {
    if (!sound) world.broken(what)
  }
  let batched = 0
  const model = createServedModel({
    id: 'm',
    folder: '/m',
    clock,
    limits,
    start: (events) => {
      sound(closed === 0, 'a process was started after the end')
      return startSimulated(world, events)
    },
    onBatch: ({ size, waitedSeconds }) => {
      batched += size
      sound(waitedSeconds.length === size, 'a batch lost count')
    },
  })

  const ends: Record<string, number> = {}
  let [unanswered, waitingLoads, captions, closed] = [0, 0, 0, 0]
  let [closing, wasLoaded] = [false, false]

  const send = (number: number): void => {
    const options = optionSets[upTo(optionSets.length)] ?? {}
    const streams = chance(0.1)
    const accepted = clock.now()
    const before = model.places().all
    let [answers, left] = [0, false]
    const end = (how: string): void => {
      ends[how] = (ends[how] ?? 0) + 1
    }
    const onAnswer = ({ caption, error }: Answer): void => {
      unanswered--
      answers++
      world.answered.add(number)
      sound(answers === 1, `request ${number} has ${answers} answers`)
      sound(clock.now() <= accepted + limits.timeoutMs, `request ${number} was answered too late`)
      sound(!left || (error as Error).message === 'left', `request ${number} left before`)
      if (caption) {
        captions++
        sound(caption.text === textOf(number, options), `request ${number}: "${caption.text}"`)
        return void end('caption')
      }
      const { name, message } = error as Error
      const excused =
        left ||
        faulty ||
        (name === 'ImageError' && world.faults.refuse > 0) ||
        (name === 'TimeoutError' && limits.timeoutMs < 1e9)
      sound(excused, `request ${number} was lost: ${message}`)
      sound(name !== 'TimeoutError' || limits.timeoutMs < 1e9, `request ${number} was forgotten`)
      end(left ? 'left' : name)
    }
    try {
      const image = encodeSent({ number, poison: faulty && chance(0.02), streams })
      const request = { image, options, onProgress: streams ? progress : undefined }
      const leave = model.submit(request, onAnswer)
      unanswered++
      sound(before < limits.maxQueue, `${before} places were taken, and one more`)
      sound(!closing, 'accepted while closing')
      if (chance(0.15))
        clock.at(accepted + upTo(300), () => {
          left ||= answers === 0
          leave(new Error('left'))
          sound(answers === 1, `request ${number} left without an answer`)
        })
    } catch (error) {
      end(error instanceof Error ? error.name : 'thrown')
      if (error instanceof QueueFullError) {
        const isFull = before >= limits.maxQueue || limits.maxQueueBytes < 1e9
        sound(isFull, `refused although only ${before} places were taken`)
        sound(error.retryAfterSeconds >= 1, `try again after ${error.retryAfterSeconds} s`)
      } else if (error instanceof UnavailableError)
        sound(closing || faulty || !wasLoaded, `refused: ${error.message}`)
      else throw error
    }
    function progress(): void {
      sound(answers === 0 && !left, `request ${number} was told of words after its answer`)
    }
    const { all, running } = model.places()
    sound(all <= limits.maxQueue && running <= all, `${all} places, ${running} running`)
  }

  const load = (): void => {
    waitingLoads++
    model.load((result) => {
      waitingLoads--
      if (!result.error) wasLoaded = true
      else sound(faulty || closing, `loading failed: ${result.error.message}`)
      if (!wasLoaded && !closing) clock.at(clock.now() + 50, load)
    })
  }

  load()
  const requests = 10 + upTo(60)
  const pace = 1 + upTo(60)
  let time = upTo(200)
  for (let number = 0; number < requests; number++) {
    if (chance(0.7)) time += upTo(pace)
    clock.at(time, () => send(number))
    if (chance(0.03)) clock.at(time, load)
  }
  clock.at(Math.floor(time * (0.5 + random())), () => {
    closing = true
    model.close(() => {
      closed++
      sound(unanswered === 0, `closed with ${unanswered} requests without an answer`)
      sound(world.alive.size === 0, 'closed with a process alive')
    })
  })
  let steps = 0
  while (clock.step()) if (++steps > 1e5) break
  sound(steps < 1e5, 'it never ends')
  sound(clock.now() < 1e6, 'something was to happen in 1000 s')
  sound(closed === 1, `closed ${closed} times`)
  sound(unanswered === 0, `${unanswered} requests without an answer`)
  sound(waitingLoads === 0, `${waitingLoads} loads without a result`)
  sound(world.alive.size === 0, 'a process is left')
  sound(model.places().all === 0, `${model.places().all} places stay taken`)
  sound(batched >= captions, `${captions} captions of ${batched} images`)
  return { broken, ends }
}
