/** Load: clients that never stop, for as long as is asked. Nothing is lost or mixed up, and nothing grows. */
import { setTimeout as delay } from 'node:timers/promises'
import { type CheckResult, createCounts, createFindings, quantile } from './check.js'
import { setToWork } from './clients-at-work.js'
import { createClient } from './http-client.js'
import { type ProcessFacts, watchProcess } from './process-facts.js'
import { startServer } from './server-process.js'
import type { Stage } from './stage.js'

const CLIENTS = 8
/** Requests before memory counts: caches and heaps fill first. */
const WARM_UP = 3000
/** Share of the time after which it counts whatever was sent by then. */
const LONGEST_WARM_UP = 0.4

export async function checkLoad(stage: Stage, seconds: number): Promise<CheckResult> {
  const findings = createFindings()
  const server = await startServer(stage.model)
  const client = createClient(server.port)
  const counts = createCounts()
  let sent = 0
  let times: number[] = []
  const crew = setToWork({
    client,
    pictures: stage.pictures,
    clients: CLIENTS,
    onSent: ({ verdict, exchange }) => {
      sent++
      counts.add(verdict)
      times.push(exchange.ms)
    },
  })
  const started = performance.now()
  const passed = () => (performance.now() - started) / 1000
  while (sent < WARM_UP && passed() < LONGEST_WARM_UP * seconds) await delay(100)

  const modelPid = server.modelPid()
  // Reading the metric also begins its next period.
  await loopDelay(server.port)
  const [warmSeconds, warmSent] = [passed(), sent]
  times = []
  const ofServer = watchProcess(server.pid)
  const ofModel = watchProcess(modelPid)
  await delay(Math.max(0, seconds - passed()) * 1000)
  const [serverFacts, modelFacts] = [await ofServer.stop(), await ofModel.stop()]
  const took = passed() - warmSeconds
  const measured = sent - warmSent
  const loop = await loopDelay(server.port)
  await crew.stop()

  findings.figure('requests', sent)
  findings.figure('requests/s', measured / took)
  findings.figure('p50 ms', quantile(times, 0.5))
  findings.figure('p99 ms', quantile(times, 0.99))
  findings.exactly('lost', counts.of('no reply'), 0)
  findings.exactly('swapped', counts.of('swapped'), 0)
  findings.exactly('differing', counts.of('differing'), 0)
  findings.exactly('other score', counts.of('other score'), 0)
  findings.exactly('refused or failed', counts.of('refused') + counts.of('failed'), 0)
  findings.figure('warm-up requests', warmSent)
  const memory = ({ memory }: ProcessFacts) => memory
  for (const [name, facts] of [
    ['server', serverFacts],
    ['model', modelFacts],
  ] as const) {
    const [first, last] = ends(facts, memory)
    findings.figure(`${name} MiB`, last)
    findings.below(`${name} growth %`, 100 * (last / first - 1), 5)
    const [filesFirst, filesLast] = ends(facts, ({ files }) => files)
    findings.exactly(`${name} more files`, filesLast - filesFirst, 0)
  }
  findings.below('event loop p99 ms', loop * 1000, 20)
  if (server.modelPid() !== modelPid) findings.fail("the model's process was lost")
  client.close()
  await server.end()
  if (server.said().includes('"level":"error"')) findings.fail(`the log: ${server.said()}`)
  return findings.result()
}

/** Medians of the first and the last fifth. */
function ends(facts: readonly ProcessFacts[], of: (facts: ProcessFacts) => number) {
  const fifth = Math.max(1, Math.floor(facts.length / 5))
  const median = (some: readonly ProcessFacts[]) => quantile(some.map(of), 0.5)
  return [median(facts.slice(0, fifth)), median(facts.slice(-fifth))] as const
}

/** Of the server since the last call, seconds. */
async function loopDelay(port: number): Promise<number> {
  const client = createClient(port)
  const { reply } = await client.exchange({ path: '/metrics' })
  client.close()
  return Number(/^nodejs_eventloop_lag_p99_seconds ([\d.e-]+)/m.exec(reply?.text ?? '')?.[1])
}
