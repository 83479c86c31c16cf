/** Images by URL: only of named hosts, only at public addresses, within time and size. No packet leaves this machine. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, BlockList } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import ava from 'ava'
import { imageFetcher, privateAddresses } from '../../ts/serve/fetch-image.js'
import { uploadBudget } from '../../ts/serve/upload-budget.js'
import { type ErrorReply, form, picture, startServing } from './serving.js'

const test = ava.serial

let site: Server
let host = ''
let connects = 0
let image: Buffer

test.before(async () => {
  image = await picture(1)
  site = createServer((request, response) => {
    if (request.url === '/a.png') return response.end(image)
    if (request.url === '/moved') return response.writeHead(302, { location: '/a.png' }).end()
    if (request.url === '/slow') return response.write('a')
    if (request.url === '/large') return response.end(Buffer.alloc(10 * 2 ** 20 + 1))
    return response.writeHead(404).end()
  })
  site.on('connection', () => connects++)
  await once(site.listen(0, '127.0.0.1'), 'listening')
  host = `127.0.0.1:${(site.address() as AddressInfo).port}`
})
test.after.always(() => {
  site.closeAllConnections()
  site.close()
})

const never = new AbortController().signal
const share = () => uploadBudget(2 ** 30)()

test('an image of a named host', async (t) => {
  const fetchImage = imageFetcher({ hosts: [host], blocked: new BlockList() })
  const found = await fetchImage(`http://${host}/a.png`, share(), never)
  t.is(found.name, 'a.png')
  t.true(image.equals(found.bytes))
})

for (const [path, message] of [
  ['moved', /it answered 302, expected 200/],
  ['none', /it answered 404/],
  ['slow', /it took longer than 0.3 s/],
  ['large', /it has more than 10 MiB/],
] as const)
  test(`no image: ${path}`, async (t) => {
    const fetchImage = imageFetcher({ hosts: [host], blocked: new BlockList(), time: 300 })
    await t.throwsAsync(fetchImage(`http://${host}/${path}`, share(), never), {
      code: 'ERR_IMAGE',
      message,
    })
  })

test('the time holds, whatever the garbage collector takes meanwhile', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  const fetchImage = imageFetcher({ hosts: [host], blocked: new BlockList(), time: 500 })
  const gone = new AbortController()
  // A request that no time ends would never be answered.
  const rescue = setTimeout(() => gone.abort(new Error('no time held')), 20_000)
  const collecting = setInterval(collect, 50)
  const fetched = fetchImage(`http://${host}/slow`, share(), gone.signal)
  await t.throwsAsync(fetched, { code: 'ERR_IMAGE', message: /longer than 0.5 s/ })
  clearInterval(collecting)
  clearTimeout(rescue)
})

test('who goes away ends it, and the budget holds', async (t) => {
  const fetchImage = imageFetcher({ hosts: [host], blocked: new BlockList() })
  const gone = new AbortController()
  setTimeout(() => gone.abort(new Error('gone')), 50)
  const left = fetchImage(`http://${host}/slow`, share(), gone.signal)
  await t.throwsAsync(left, { message: 'gone' })
  const full = uploadBudget(10)()
  await t.throwsAsync(fetchImage(`http://${host}/a.png`, full, never), { code: 'ERR_QUEUE_FULL' })
})

const hostile = [
  'file:///etc/passwd',
  'ftp://HOST/a.png',
  'data:image/png;base64,AAAA',
  'gopher://HOST/',
  '//HOST/a.png',
  '/a.png',
  'HOST/a.png',
  '',
  'http://',
  'http:///a.png',
  'http://user@HOST/a.png',
  'http://user:secret@HOST/a.png',
  'http://HOST@evil.example/a.png',
  'http://evil.example#@HOST/a.png',
  'http://evil.example\\@HOST/a.png',
  'http://evil.example%2f@HOST/a.png',
  'http://HOST.evil.example/a.png',
  'http://evil.example/HOST',
  'https://HOST:1/a.png',
  'http://localhost/a.png',
  'http://127.1/a.png',
  'http://2130706433/a.png',
  'http://0x7f000001/a.png',
  'http://017700000001/a.png',
  'http://[::1]/a.png',
  'http://[::ffff:127.0.0.1]/a.png',
  'http://0.0.0.0/a.png',
  'http://169.254.169.254/latest/meta-data',
  'http://metadata.google.internal/',
  'http://10.0.0.1/',
  'http://ⓔvil.example/',
]
test('hostile URLs: refused before anything is connected to', async (t) => {
  const fetchImage = imageFetcher({ hosts: ['images.example.org'], blocked: new BlockList() })
  const before = connects
  for (const url of hostile.map((one) => one.replace('HOST', host)))
    await t.throwsAsync(fetchImage(url, share(), never), { code: 'ERR_ARGUMENT' }, url)
  t.is(connects, before)
})

test('a host that is named but private is refused by its address', async (t) => {
  const hosts = [host, 'localhost', '[::1]', '169.254.169.254', '[::ffff:127.0.0.1]', '127.0.0.1']
  const fetchImage = imageFetcher({ hosts })
  const before = connects
  for (const one of [`http://${host}/a.png`, 'http://localhost/', 'http://[::1]/', 'http://127.1/'])
    await t.throwsAsync(fetchImage(one, share(), never), { message: /private network/ }, one)
  t.is(connects, before)
})

test('which addresses are private', (t) => {
  const list = privateAddresses()
  const isPrivate = (address: string) =>
    list.check(address, address.includes(':') ? 'ipv6' : 'ipv4')
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '172.31.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    '::ffff:10.0.0.1',
    '::7f00:1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'fe80::1',
    'fd00::1',
    'ff02::1',
  ])
    t.true(isPrivate(address), address)
  for (const address of ['8.8.8.8', '172.32.0.1', '192.169.0.1', '2606:4700::1111'])
    t.false(isPrivate(address), address)
})

test('a server fetches nothing unless it is told to', async (t) => {
  const plain = await startServing()
  const named = await startServing({ imageHosts: [host] })
  const before = connects
  const ask = async (url: string) => {
    const response = await fetch(`${url}/caption`, form([], { url: `http://${host}/a.png` }))
    return { status: response.status, reply: (await response.json()) as ErrorReply }
  }
  const refused = await ask(plain.url)
  t.is(refused.status, 400)
  t.regex(refused.reply.error.message, /--allow-images-from/)
  const own = await ask(named.url)
  t.is(own.status, 400)
  t.regex(own.reply.error.message, /private network/)
  t.is(connects, before)
  await Promise.all([plain.end(), named.end()])
})
