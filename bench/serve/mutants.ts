/** Hostile clients: damaged images, bombs, malformed requests, slow sockets. Each is refused or captioned, and no more. */
import { setTimeout as delay } from 'node:timers/promises'
import { type CheckResult, createCounts, createFindings, type Findings } from './check.js'
import { sendPicture, setToWork } from './clients-at-work.js'
import { hostileImages } from './hostile-images.js'
import { hostileRequests } from './hostile-requests.js'
import {
  type Call,
  type Client,
  createClient,
  createDice,
  type Exchange,
  uploadOf,
} from './http-client.js'
import { mutated } from './mutate.js'
import { processFacts } from './process-facts.js'
import { startServer } from './server-process.js'
import { startSlowClients } from './slow-clients.js'
import type { Stage } from './stage.js'

const CLIENTS = 8
const WARM_UP = 200
const SLOW_CLIENTS = 200
/** Longest that a slow one may stay: a body has 30 s, and looking for late ones takes its time. */
const SLOW_SECONDS = 45
/** Most above what good pictures need, of each process, MiB. */
const MEMORY = 512

interface Hostile {
  readonly what: string
  readonly call: Call
}

export async function checkMutants(
  stage: Stage,
  { mutants, bombs }: { readonly mutants: number; readonly bombs: number },
): Promise<CheckResult> {
  const findings = createFindings()
  const server = await startServer(stage.model)
  const client = createClient(server.port)
  const modelPid = server.modelPid()
  await healthy(stage, client, findings, 'before')
  await warmUp(stage, client)
  const before = [server.pid, modelPid].map((pid) => processFacts(pid).memory)
  const slow = startSlowClients(server.port, SLOW_CLIENTS)
  const slowSince = performance.now()

  const counts = createCounts()
  await sendAll(client, damagedImages(stage, mutants), (what, exchange) => {
    judge(findings, what, exchange)
    counts.add(exchange.reply?.status ?? exchange.failure ?? '')
  })
  findings.figure('damaged images', counts.text())
  await healthy(stage, client, findings, 'after damaged images')

  const hostile = await hostileCalls(stage)
  const repeated = Array.from({ length: bombs }, (_, i) => hostile[i % hostile.length] as Hostile)
  const bombCounts = createCounts()
  await sendAll(client, repeated, (what, exchange) => {
    judge(findings, what, exchange)
    bombCounts.add(exchange.reply?.status ?? exchange.failure ?? '')
  })
  findings.figure(`${hostile.length} kinds of bombs`, bombCounts.text())
  await healthy(stage, client, findings, 'after bombs')

  while (slow.state().open > 0 && performance.now() - slowSince < SLOW_SECONDS * 1000)
    await delay(200)
  const { open, statuses } = slow.state()
  slow.end()
  findings.exactly('slow clients that are left', open, 0)
  findings.exactly(
    'slow clients without 408',
    SLOW_CLIENTS - statuses.filter((status) => status === 408).length,
    0,
  )
  await healthy(stage, client, findings, 'after slow clients')

  if (server.modelPid() !== modelPid) findings.fail("the model's process was lost")
  for (const [i, name] of ['server', 'model'].entries()) {
    const { peak } = processFacts(i === 0 ? server.pid : server.modelPid())
    findings.figure(`${name} peak MiB`, peak)
    findings.below(`${name} above good pictures MiB`, peak - (before[i] ?? 0), MEMORY)
  }
  client.close()
  await server.end()
  if (/"status":500|"level":"error"/.test(server.said()))
    findings.fail(`the log: ${server.said().slice(0, 2000)}`)
  return findings.result()
}

/** Only a caption, what the client did wrong, or a 503 that says why. */
function judge(findings: Findings, what: string, { reply, failure }: Exchange): void {
  if (!reply) {
    // A server that has heard enough may close before all is sent.
    if (!what.startsWith('too much: ')) findings.fail(`${what}: no reply, ${failure}`)
    return
  }
  const { status, text } = reply
  const answered = status === 200 && text.length > 0
  const refused = status >= 400 && status < 500 && /"code":"ERR_|"detail":/.test(text)
  const unavailable = status === 503 && text.includes('"message":"')
  if (!answered && !refused && !unavailable)
    findings.fail(`${what}: ${status} ${text.slice(0, 200)}`)
  if (/\bat .*:\d+:\d+|node_modules/.test(text)) findings.fail(`${what}: a stack: ${text}`)
}

function* damagedImages({ pictures }: Stage, count: number): Generator<Hostile> {
  const dice = createDice(11)
  const any = () => (pictures[dice(pictures.length)] as Stage['pictures'][number]).bytes
  for (let i = 0; i < count; i++) {
    const { way, bytes } = mutated(any(), any(), dice)
    yield { what: `${way} (${i})`, call: uploadOf(`${i}.jpg`, bytes) }
  }
}

async function hostileCalls({ pictures }: Stage): Promise<Hostile[]> {
  const images = [...(await hostileImages())]
  const good = pictures[0]?.bytes ?? Buffer.alloc(0)
  const overLimit = /10 MiB|17 MiB|65 images|5,000 f|17 files/
  return [
    ...images.map(([what, bytes]) => ({ what, call: uploadOf('a.png', bytes) })),
    ...[...hostileRequests(good)].map(([what, call]) => ({ what, call })),
  ].map(({ what, call }) => ({ what: overLimit.test(what) ? `too much: ${what}` : what, call }))
}

async function sendAll(
  client: Client,
  all: Iterable<Hostile>,
  onReply: (what: string, exchange: Exchange) => void,
): Promise<void> {
  const left = all[Symbol.iterator]()
  const work = async (): Promise<void> => {
    for (let next = left.next(); !next.done; next = left.next()) {
      const { what, call } = next.value
      onReply(what, await client.exchange(call))
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, work))
}

/** Batches of good pictures need memory too. */
async function warmUp({ pictures }: Stage, client: Client): Promise<void> {
  let sent = 0
  const onSent = () => void sent++
  const crew = setToWork({ client, pictures, clients: CLIENTS, onSent })
  while (sent < WARM_UP) await delay(50)
  await crew.stop()
}

/** A good picture still gets its caption. */
async function healthy(
  { pictures }: Stage,
  client: Client,
  findings: Findings,
  when: string,
): Promise<void> {
  const [picture] = pictures
  if (!picture) return
  const { verdict } = await sendPicture(client, picture, pictures, when.replaceAll(' ', '-'))
  if (verdict !== 'right') findings.fail(`a good picture ${when}: ${verdict}`)
}
