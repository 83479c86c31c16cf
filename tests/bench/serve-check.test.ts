/** The server check finds what is wrong: replies lost, swapped, or not the ones known. Its figures and its damaged images. */
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import ava, { type ExecutionContext } from 'ava'
import { createCounts, createFindings, quantile } from '../../bench/serve/check.js'
import { replyText, sendPicture, setToWork } from '../../bench/serve/clients-at-work.js'
import { hostileImages } from '../../bench/serve/hostile-images.js'
import { createClient, createDice } from '../../bench/serve/http-client.js'
import { mutated } from '../../bench/serve/mutate.js'

const test = ava.serial

test('quantiles, counts, and findings of what is not as it has to be', (t) => {
  t.is(quantile([4, 1, 3, 2], 0.5), 2)
  t.is(quantile([4, 1, 3, 2], 0.99), 4)
  t.true(Number.isNaN(quantile([], 0.5)))
  const counts = createCounts()
  for (const key of [429, 'right', 429]) counts.add(key)
  t.is(counts.of(429), 2)
  t.is(counts.text(), '429 x 2, right x 1')
  const findings = createFindings()
  findings.below('growth', 4.9, 5)
  findings.exactly('lost', 0, 0)
  t.true(findings.result().passed)
  findings.below('growth', Number.NaN, 5)
  findings.exactly('lost', 1, 0)
  t.deepEqual(findings.result().failures, ['growth: NaN, expected below 5', 'lost: 1, expected 0'])
})

const picture = (text: string, score: number) => ({
  bytes: Buffer.from(text),
  extension: '.png',
  caption: { text, score, tokens: [4, 5] },
})
const pictures = [picture('a dog', -1.5), picture('a cat', -2.25)] as const

/** A client of a server that does this. */
async function clientOf(t: ExecutionContext, answer: RequestListener) {
  const server = createServer((request, response) => {
    request.resume().on('end', () => answer(request, response))
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const client = createClient((server.address() as AddressInfo).port)
  t.teardown(() => {
    client.close()
    server.close()
    server.closeAllConnections()
  })
  return client
}

test('a reply is right only to the byte', async (t) => {
  let reply = { status: 200, text: '' }
  const client = await clientOf(t, (_, response) => {
    if (reply.status === 0) response.destroy()
    else response.writeHead(reply.status).end(reply.text)
  })
  const [dog, cat] = pictures
  const verdict = async (status: number, text = '') => {
    reply = { status, text }
    return (await sendPicture(client, dog, pictures, '7')).verdict
  }
  const right = replyText('7.png', dog)
  t.is(await verdict(200, right), 'right')
  t.is(await verdict(200, replyText('7.png', cat)), 'swapped')
  t.is(await verdict(200, replyText('8.png', dog)), 'swapped')
  t.is(await verdict(200, right.replace('-1.5', '-1.5000001')), 'other score')
  t.is(await verdict(200, right.replace('[4,5]', '[4,6]')), 'differing')
  t.is(await verdict(429), 'refused')
  t.is(await verdict(503), 'refused')
  t.is(await verdict(500), 'failed')
  t.is(await verdict(0), 'no reply')
})

test('what was sent whole and never answered is told from what was not sent', async (t) => {
  const client = await clientOf(t, (_, response) => response.destroy())
  const { exchange } = await sendPicture(client, pictures[0], pictures, '1')
  t.is(exchange.failure, 'ECONNRESET')
  t.true(exchange.sent)
  const nobody = createClient(1)
  const { exchange: refused } = await sendPicture(nobody, pictures[0], pictures, '2')
  t.is(refused.failure, 'ECONNREFUSED')
  t.false(refused.sent)
})

test('clients send one after the other until they are stopped', async (t) => {
  let [open, most] = [0, 0]
  const client = await clientOf(t, (_, response) => {
    most = Math.max(most, ++open)
    setTimeout(() => {
      open--
      response.end('{}')
    }, 5)
  })
  let sent = 0
  const onSent = () => void sent++
  const crew = setToWork({ client, pictures, clients: 3, onSent })
  while (sent < 9) await new Promise((turn) => setTimeout(turn, 5))
  await crew.stop()
  const before = sent
  await new Promise((turn) => setTimeout(turn, 30))
  t.is(sent, before)
  t.is(most, 3)
})

test('damage is the same for the same seed, and there is some', async (t) => {
  const images = [...(await hostileImages()).values()].filter(({ length }) => length > 100)
  const [whole = Buffer.alloc(0), donor = Buffer.alloc(0)] = images
  const [dice, again] = [createDice(3), createDice(3)]
  const ways = new Set<string>()
  for (let i = 0; i < 100; i++) {
    const { way, bytes } = mutated(whole, donor, dice)
    t.true(mutated(whole, donor, again).bytes.equals(bytes))
    ways.add(way)
  }
  t.is(ways.size, 8)
})
