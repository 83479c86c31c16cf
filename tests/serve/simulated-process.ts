/** A model's process that is slow, refuses, crashes and hangs by chance, and checks what it is told. */
import type { CaptionOptions } from '../../ts/decoding/options.js'
import type { ModelProcess, ProcessEvents } from '../../ts/serve/model-keeper.js'
import type { FromHost, ToHost } from '../../ts/serve/protocol.js'
import type { ModelLimits } from '../../ts/serve/served-model.js'
import type { VirtualClock } from './virtual-clock.js'

/** How often each happens, 0-1. */
export interface Faults {
  readonly start: number
  readonly crash: number
  readonly refuse: number
  readonly hang: number
}

export interface World {
  readonly clock: VirtualClock
  readonly limits: ModelLimits
  readonly random: () => number
  readonly faults: Faults
  readonly broken: (what: string) => void
  readonly alive: Set<ModelProcess>
  /** Numbers of images that crashed a process. */
  readonly poisoned: Set<number>
  /** Numbers of images that nobody waits for any more. */
  readonly answered: Set<number>
}

/** What stands for the file of an image. */
export interface Sent {
  readonly number: number
  /** Crashes the process that captions it. */
  readonly poison: boolean
  readonly streams: boolean
}

export const encodeSent = (sent: Sent): Uint8Array => Buffer.from(JSON.stringify(sent))
const decodeSent = (image: Uint8Array): Sent => JSON.parse(Buffer.from(image).toString())

export const textOf = (number: number, options: CaptionOptions): string =>
  `${number} ${JSON.stringify(options)}`

const togetherOf = ({ beam = 3 }: CaptionOptions): number => Math.max(1, Math.floor(9 / beam))

interface Decoded {
  readonly sent: Sent
  readonly options: CaptionOptions
  readonly since: number
}

export function startSimulated(world: World, { onMessage, onExit }: ProcessEvents): ModelProcess {
  const { clock, random, limits, faults, broken, alive, poisoned, answered } = world
  const upTo = (most: number): number => Math.floor(random() * most)
  const fails = (share: number): boolean => random() < share
  /** In the order in which they were decoded. */
  const images = new Map<number, Decoded>()
  const decoding = new Set<number>()
  let work: { readonly ids: readonly number[]; readonly streams: boolean } | undefined
  let idleSince = 0
  let isReady = false
  let gone = false

  const later = (ms: number, then: () => void): void =>
    void clock.at(clock.now() + ms, () => gone || then())
  const leave = (reason: string): void => {
    if (gone) return
    gone = true
    clock.at(clock.now() + upTo(5), () => {
      alive.delete(self)
      onExit(reason)
    })
  }
  const crashes = ({ number, poison }: Sent): boolean => {
    if (poison && poisoned.has(number)) broken(`${number} was sent again although it crashes`)
    if (poison) poisoned.add(number)
    return poison || fails(faults.crash)
  }
  const refuse = (id: number): void =>
    onMessage({ type: 'refused', id, problem: { code: 'ERR_IMAGE', message: 'refused' } })

  const decode = (id: number, image: Uint8Array, options: CaptionOptions): void => {
    decoding.add(id)
    if (decoding.size > limits.maxDecoding) broken(`decodes ${decoding.size} at a time`)
    if (answered.has(decodeSent(image).number)) broken(`decodes ${id}, which nobody waits for`)
    if (fails(faults.hang)) return
    later(upTo(fails(0.1) ? 200 : 10), () => {
      decoding.delete(id)
      if (fails(faults.crash)) return leave('signal SIGSEGV')
      if (fails(faults.refuse)) return refuse(id)
      images.set(id, { sent: decodeSent(image), options, since: clock.now() })
      onMessage({ type: 'decoded', id, together: togetherOf(options) })
    })
  }

  /** Those that have to be captioned now: the one that waits longest, and those that may go with it. */
  const due = (): number[] => {
    const [first] = images
    if (!first) return []
    const alone = ({ sent, options }: Decoded) => sent.streams || options.attention === true
    if (alone(first[1])) return [first[0]]
    const { options } = first[1]
    return [...images]
      .filter(([, one]) => !alone(one) && JSON.stringify(one.options) === JSON.stringify(options))
      .map(([id]) => id)
      .slice(0, Math.min(limits.maxBatch, togetherOf(options)))
  }

  const caption = (ids: readonly number[], streams: boolean): void => {
    if (work) broken(`${ids} while ${work.ids} are being captioned`)
    if (ids.join() !== due().join()) broken(`${ids} instead of ${due()}`)
    const jobs = ids.flatMap((id) => images.get(id) ?? [])
    const waited = clock.now() - Math.max(idleSince, jobs[0]?.since ?? 0)
    if (waited > limits.maxDelayMs) broken(`waited ${waited} ms while idle`)
    for (const { sent } of jobs)
      if (answered.has(sent.number)) broken(`${sent.number} although nobody waits for it`)
    if (streams !== jobs[0]?.sent.streams) broken(`${ids} streamed: ${streams}`)
    for (const id of ids) images.delete(id)
    const own = { ids, streams }
    work = own
    if (fails(faults.hang)) return
    if (streams) tellProgress(own, 3)
    later(1 + upTo(30 + 10 * ids.length), () => {
      if (work !== own) return
      if (jobs.some(({ sent }) => crashes(sent))) return leave('signal SIGSEGV')
      for (const [i, { sent, options }] of jobs.entries()) {
        const id = ids[i] ?? 0
        if (i === jobs.length - 1) rest()
        if (fails(faults.refuse)) refuse(id)
        else {
          const text = textOf(sent.number, options)
          onMessage({ type: 'captioned', id, caption: { text, score: 0, tokens: [] } })
        }
      }
    })
  }

  const rest = (): void => {
    work = undefined
    idleSince = clock.now()
  }

  const tellProgress = (own: typeof work, words: number): void =>
    later(upTo(10), () => {
      const [id] = own?.ids ?? []
      if (work !== own || words === 0 || id === undefined) return
      onMessage({ type: 'progress', id, text: `${words} words to go` })
      tellProgress(own, words - 1)
    })

  const forget = (id: number): void => {
    if (images.delete(id)) return
    if (!work?.ids.includes(id)) return void broken(`forget ${id}, which is not there`)
    const { streams } = work
    if (streams)
      later(1, () => {
        if (!work?.ids.includes(id)) return
        rest()
        refuse(id)
      })
  }

  const self: ModelProcess = {
    send: (message: ToHost) => {
      if (gone) return
      if (!isReady) broken(`${message.type} before it is ready`)
      if (message.type === 'decode') decode(message.id, message.image, message.options)
      if (message.type === 'caption') caption(message.ids, false)
      if (message.type === 'stream') caption([message.id], true)
      if (message.type === 'forget') forget(message.id)
    },
    end: () => {
      if (!gone && (work || images.size > 0 || decoding.size > 0)) broken('ended at work')
      leave('exit code 0')
    },
    kill: () => leave('signal SIGKILL'),
  }
  alive.add(self)
  later(upTo(100), () => {
    if (fails(faults.hang * 5)) return
    if (fails(faults.start / 2)) return leave('exit code 1')
    const problem = { code: 'ERR_CHECKPOINT', message: 'a damaged folder' }
    const facts = { device: 'cpu', image: { size: 8, resize: 'crop' }, parameters: 1 } as const
    isReady = !fails(faults.start)
    idleSince = clock.now()
    const message: FromHost = isReady
      ? { type: 'ready', facts: { ...facts, vocabulary: 9 } }
      : { type: 'failed', problem }
    onMessage(message)
  })
  return self
}
