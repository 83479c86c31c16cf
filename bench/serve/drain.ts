/** Shutting down under load, again and again: all that was accepted is answered, and the process ends with exit code 0. */

import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type CheckResult, createCounts, createFindings, type Findings, quantile } from './check.js'
import { type Sent, setToWork } from './clients-at-work.js'
import { createClient } from './http-client.js'
import { type ServerProcess, startServer } from './server-process.js'
import type { Stage } from './stage.js'

const CLIENTS = 8
/** Longest that /ready may still say 200: one turn of a busy event loop. */
const READY_FALSE_MS = 250
const LONGEST_MS = 35_000
/** Two signals nearer than half a second are taken for one. */
const SECOND_SIGNAL_MS = 800

/** @param times how often a server is started and ended */
export async function checkDrain(stage: Stage, times: number): Promise<CheckResult> {
  const findings = createFindings()
  const counts = createCounts()
  const ends: DrainEnd[] = []
  for (let i = 0; i < times; i++) {
    const server = await startServer(stage.model, ['--log', 'info'])
    // Each time at another moment of the work.
    ends.push(await endUnderLoad(stage, server, 300 + 37 * i, counts.add))
  }
  findings.figure('servers', ends.length)
  findings.figure('after the signal', counts.text())
  const sum = (of: (end: DrainEnd) => number) => ends.reduce((all, end) => all + of(end), 0)
  findings.figure(
    'answered before it',
    sum(({ before }) => before),
  )
  findings.exactly(
    'accepted and lost',
    sum(({ lost }) => lost.length),
    0,
  )
  findings.exactly(
    'answered wrongly',
    sum(({ wrong }) => wrong),
    0,
  )
  for (const { lost, log } of ends)
    for (const one of lost) findings.fail(`lost ${one.id}: ${one.exchange.failure}; ${log(one.id)}`)
  findings.below('ready for ms', Math.max(...ends.map((end) => end.readyMs)), READY_FALSE_MS)
  findings.exactly('exit codes that are not 0', ends.filter(({ code }) => code !== 0).length, 0)
  const took = ends.map((end) => end.ms)
  findings.figure('drained p50 ms', quantile(took, 0.5))
  findings.below('drained most ms', Math.max(...took), LONGEST_MS)
  await checkSecondSignal(stage, findings)
  return findings.result()
}

interface DrainEnd {
  readonly before: number
  readonly lost: readonly Sent[]
  readonly wrong: number
  /** After the signal, until /ready was not 200 any more. */
  readonly readyMs: number
  readonly code: number | null
  readonly ms: number
  readonly log: (id: string) => string
}

async function endUnderLoad(
  { pictures }: Stage,
  server: ServerProcess,
  loadMs: number,
  count: (key: string) => void,
): Promise<DrainEnd> {
  const client = createClient(server.port)
  const sent: Sent[] = []
  const onSent = (one: Sent) => void sent.push(one)
  const crew = setToWork({ client, pictures, clients: CLIENTS, onSent, pause: 20 })
  while (sent.length < 2 * CLIENTS) await delay(20)
  await delay(loadMs)
  const signalled = performance.now()
  server.signal('SIGTERM')
  const readyMs = await untilNotReady(server.port, signalled)
  const code = await server.ended
  const ms = performance.now() - signalled
  await crew.stop()
  client.close()

  const lines = server.said().split('\n')
  const log = (id: string) => lines.find((line) => line.includes(`"reqId":"${id}"`)) ?? ''
  const answered = (one: Sent) => one.exchange.reply !== undefined
  const ended = (one: Sent) => one.started + one.exchange.ms
  const after = sent.filter((one) => ended(one) > signalled)
  // Sent whole while the server listened, or known to its log. What a connection that was just being closed had not
  // delivered nobody has accepted, and clients send it again, as HTTP has them do (RFC 9112, 9.3.1).
  const accepted = (one: Sent) =>
    log(one.id) !== '' || (one.exchange.sent && one.started + one.exchange.ms < signalled)
  const lost = sent.filter((one) => !answered(one) && accepted(one))
  for (const one of after)
    count(
      answered(one) ? one.verdict : `${one.exchange.failure}${one.exchange.sent ? ', sent' : ''}`,
    )
  const isWrong = /^(swapped|differing|other score|failed)$/
  const wrong = sent.filter(({ verdict }) => isWrong.test(verdict))
  const withoutHint = sent.filter(
    ({ verdict, exchange }) => verdict === 'refused' && !exchange.reply?.headers['retry-after'],
  )
  return {
    before: sent.length - after.length,
    lost,
    wrong: wrong.length + withoutHint.length,
    readyMs,
    code,
    ms,
    log,
  }
}

/** When the last request began to which /ready still said 200; ms after `signalled`. */
async function untilNotReady(port: number, signalled: number): Promise<number> {
  const client = createClient(port)
  let last = 0
  for (;;) {
    const asked = performance.now() - signalled
    const { reply } = await client.exchange({ path: '/ready' })
    if (reply?.status !== 200) break
    last = asked
    if (last > 10_000) break
  }
  client.close()
  return last
}

async function checkSecondSignal({ model }: Stage, findings: Findings): Promise<void> {
  const server = await startServer(model)
  // An upload that never ends, so that there is something to wait for.
  const socket = connect(server.port, '127.0.0.1').on('error', () => {})
  socket.write(
    'POST /caption HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: 99\r\n\r\n--x',
  )
  await delay(300)
  server.signal('SIGTERM')
  await delay(SECOND_SIGNAL_MS)
  const second = performance.now()
  server.signal('SIGTERM')
  findings.exactly('exit code of a second signal', (await server.ended) ?? Number.NaN, 130)
  findings.below('second signal ms', performance.now() - second, 1000)
  socket.destroy()
}
