/** Two signals: the first is announced and leaves the work running, a second one ends the process at once. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { Interrupted, interruptible } from '../../ts/cli/interrupt.js'

const script = fileURLToPath(new URL('./interrupted-work.js', import.meta.url))

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} twice`, async (t) => {
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'pipe'] })
    t.teardown(() => child.kill('SIGKILL'))
    const closed = once(child, 'close')
    const first = async (stream: Readable) =>
      String((await Promise.race([once(stream, 'data'), closed]))[0])
    await first(child.stdout)
    child.kill(signal)
    t.is(await first(child.stderr), 'stopping\n')
    child.kill(signal)
    await sleep(600)
    t.is(child.exitCode, null, 'one that follows at once is the same Ctrl-C, passed on by npm')
    child.kill(signal)
    t.deepEqual(await closed, [130, null])
  })
}

test('without a signal the work ends as it does, and no listener stays', async (t) => {
  const before = process.listenerCount('SIGINT')
  t.is(await interruptible('stopping', async () => 3), 3)
  const failing = interruptible('stopping', async (signal) => {
    t.false(signal.aborted)
    throw new Interrupted('of the work')
  })
  await t.throwsAsync(failing, { instanceOf: Interrupted })
  t.is(process.listenerCount('SIGINT'), before)
})
