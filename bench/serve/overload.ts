/** Overload: ten times as many clients as there is room for. Most are refused, at once; the others get what is right. */
import { setTimeout as delay } from 'node:timers/promises'
import { type CheckResult, createCounts, createFindings, quantile } from './check.js'
import { type Sent, sendPicture, setToWork } from './clients-at-work.js'
import { type Client, createClient } from './http-client.js'
import { startServer } from './server-process.js'
import type { Stage } from './stage.js'

const QUEUE = 16
const CLIENTS = 10 * QUEUE
/** Much less than Retry-After asks for: clients that do not behave. */
const PAUSE_MS = 250
/** One client alone: as many of its requests tell what is normal. */
const NORMAL_REQUESTS = 40
/** Back to normal: so many requests in a row within so many times the usual time. */
const [IN_A_ROW, NORMAL] = [3, 2]

export async function checkOverload(stage: Stage, seconds: number): Promise<CheckResult> {
  const findings = createFindings()
  const server = await startServer(stage.model, ['--max-queue', String(QUEUE)])
  const client = createClient(server.port)
  const normal = await usualMs(stage, client)

  const sent: Sent[] = []
  const { pictures } = stage
  const crew = setToWork({
    client,
    pictures,
    clients: CLIENTS,
    pause: PAUSE_MS,
    onSent: (one) => sent.push(one),
  })
  await delay(seconds * 1000)
  await crew.stop()
  const recovery = await recoveryMs(stage, client, normal)

  const refused = sent.filter(({ verdict }) => verdict === 'refused')
  const right = sent.filter(({ verdict }) => verdict === 'right')
  const statuses = createCounts()
  for (const { exchange } of refused) statuses.add(exchange.reply?.status ?? 0)
  const times = (some: readonly Sent[]) => some.map(({ exchange }) => exchange.ms)
  findings.figure('requests', sent.length)
  findings.figure('answered right', right.length)
  findings.figure('refused', statuses.text())
  const otherwise = createCounts()
  for (const { verdict } of sent)
    if (verdict !== 'refused' && verdict !== 'right') otherwise.add(verdict)
  findings.exactly('otherwise', sent.length - refused.length - right.length, 0)
  if (otherwise.text() !== '') findings.fail(`otherwise: ${otherwise.text()}`)
  findings.exactly('without Retry-After', refused.filter((one) => !saysWhen(one)).length, 0)
  findings.figure('refused p50 ms', quantile(times(refused), 0.5))
  findings.below('refused p99 ms', quantile(times(refused), 0.99), 100)
  findings.figure('answered p99 ms', quantile(times(right), 0.99))
  findings.figure('usual ms', normal)
  findings.below('back to it after s', recovery / 1000, 2)
  client.close()
  await server.end()
  return findings.result()
}

function saysWhen({ exchange }: Sent): boolean {
  return Number(exchange.reply?.headers['retry-after']) >= 1
}

async function usualMs({ pictures }: Stage, client: Client): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < NORMAL_REQUESTS; i++) {
    const picture = pictures[i % pictures.length]
    if (picture)
      times.push((await sendPicture(client, picture, pictures, `usual-${i}`)).exchange.ms)
  }
  // The machine's own hiccups are normal too.
  return quantile(times, 0.9)
}

async function recoveryMs({ pictures }: Stage, client: Client, usual: number): Promise<number> {
  const started = performance.now()
  let [row, since] = [0, 0]
  for (let i = 0; row < IN_A_ROW && since < 10_000; i++) {
    const picture = pictures[i % pictures.length]
    if (!picture) break
    since = performance.now() - started
    const { verdict, exchange } = await sendPicture(client, picture, pictures, `after-${i}`)
    row = verdict === 'right' && exchange.ms <= NORMAL * usual ? row + 1 : 0
  }
  return since
}
