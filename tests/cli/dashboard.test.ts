/** `captioneer train --dashboard`: the page is there while training, says where, and a port that is taken stops nothing. */
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import test from 'ava'
import { cli } from './run-cli.js'
import { tinyData, tinyFlags } from './tiny-data.js'

test('the live page is served while training', async (t) => {
  const { folder, remove } = await tinyData()
  t.teardown(remove)
  const words = ['train', '--data', folder, '--out', join(folder, 'run'), ...tinyFlags]
  let page: Promise<Response> | undefined
  const { code, stderr } = await cli([...words, '--epochs', '20', '--dashboard', '0'], {
    onStart: (child) =>
      child.stderr?.on('data', (text: Buffer) => {
        const [address] = /http:\/\/127\.0\.0\.1:\d+\//.exec(text.toString()) ?? []
        if (address !== undefined) page ??= fetch(address)
      }),
  })
  t.is(code, 0, stderr)
  t.is((await page)?.status, 200)
})

test('a port that is taken is warned of, and training goes on', async (t) => {
  const { folder, remove } = await tinyData()
  t.teardown(remove)
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => server.close())
  const port = String((server.address() as AddressInfo).port)
  const words = ['train', '--data', folder, '--out', join(folder, 'run'), ...tinyFlags]
  const { code, stderr } = await cli([...words, '--max-steps', '2', '--dashboard', port])
  t.is(code, 0, stderr)
  t.regex(stderr, /warning: dashboard: port \d+ is used by another program.*Choose another port/)
})
