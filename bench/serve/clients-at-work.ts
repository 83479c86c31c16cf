/** Clients that send pictures whose captions are known, each one after the other, and judge every reply. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Client, createDice, type Exchange, uploadOf } from './http-client.js'
import type { Picture } from './stage.js'

/**
 * right: the reply known, to the byte. other score: all of it but the score. swapped: another request's reply. refused:
 * 429 or 503.
 */
export type Verdict =
  | 'right'
  | 'other score'
  | 'differing'
  | 'swapped'
  | 'refused'
  | 'failed'
  | 'no reply'

export interface Sent {
  /** Of the request, and the start of its file's name. */
  readonly id: string
  readonly verdict: Verdict
  readonly exchange: Exchange
  /** When it was begun, as performance.now() tells it. */
  readonly started: number
}

export interface Crew {
  /** Lets each client finish its request. */
  readonly stop: () => Promise<void>
}

export interface CrewOptions {
  readonly client: Client
  readonly pictures: readonly Picture[]
  readonly clients: number
  readonly onSent: (sent: Sent) => void
  /** How long a client whose request was refused waits, ms; on average. */
  readonly pause?: number
}

let crews = 0

export function setToWork({ client, pictures, clients, onSent, pause = 50 }: CrewOptions): Crew {
  const crew = ++crews
  let stopped = false
  const work = async (who: number): Promise<void> => {
    const dice = createDice(crew * 10_000 + who)
    for (let n = 0; !stopped; n++) {
      const picture = pictures[dice(pictures.length)] as Picture
      const sent = await sendPicture(client, picture, pictures, `${crew}-${who}-${n}`)
      onSent(sent)
      if (sent.verdict === 'refused' || sent.verdict === 'no reply')
        await delay(pause / 2 + dice(pause))
    }
  }
  const working = Promise.all(Array.from({ length: clients }, (_, who) => work(who)))
  return {
    stop: async () => {
      stopped = true
      await working
    },
  }
}

export async function sendPicture(
  client: Client,
  picture: Picture,
  pictures: readonly Picture[],
  id: string,
): Promise<Sent> {
  const name = `${id}${picture.extension}`
  const call = uploadOf(name, picture.bytes)
  const started = performance.now()
  const exchange = await client.exchange({
    ...call,
    headers: { ...call.headers, 'x-request-id': id },
  })
  return { id, started, exchange, verdict: verdictOf(exchange, name, picture, pictures) }
}

function verdictOf(
  { reply }: Exchange,
  name: string,
  picture: Picture,
  pictures: readonly Picture[],
): Verdict {
  if (!reply) return 'no reply'
  if (reply.status === 429 || reply.status === 503) return 'refused'
  if (reply.status !== 200) return 'failed'
  if (reply.text === replyText(name, picture)) return 'right'
  const isOthers = pictures.some((other) => reply.text === replyText(name, other))
  if (isOthers || !reply.text.includes(`"image":${JSON.stringify(name)}`)) return 'swapped'
  return sameButScore(reply.text, name, picture) ? 'other score' : 'differing'
}

function sameButScore(text: string, name: string, picture: Picture): boolean {
  const { score } = picture.caption
  return JSON.stringify({ ...JSON.parse(text), score }) === replyText(name, picture)
}

/** The whole body of a reply, as docs/serving.md has it. */
export function replyText(name: string, { caption }: Picture): string {
  const { text, score, tokens } = caption
  const own = { image: name, caption: text, score, tokens, model: 'checked' }
  return JSON.stringify({ ...own, file: name, predicted: text })
}
