/** A process killed at any moment of saving leaves a newest checkpoint that loads. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import test from 'ava'
import { createRandom } from '../../ts/random.js'
import { loadNewestCheckpoint, saveCheckpoint } from '../../ts/train/checkpoint.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { contentOf } from './save-forever.js'

const script = join(import.meta.dirname, 'save-forever.js')

// Runs until the first checkpoint is reported and some ms more; the last reported step.
async function saveUntilKilled(folder: string, first: number, ms: number): Promise<number> {
  const stdio = ['ignore', 'pipe', 'inherit'] as const
  const child = spawn(process.execPath, [script, folder, String(first)], { stdio: [...stdio] })
  let printed = ''
  child.stdout?.on('data', (text) => {
    printed += text
  })
  const closed = once(child, 'close')
  await Promise.race([once(child.stdout ?? child, 'data'), closed])
  await wait(ms)
  child.kill('SIGKILL')
  await closed
  return Number(printed.trim().split('\n').at(-1))
}

test('kill -9 at 20 moments of saving', async (t) => {
  const folder = await temporaryFolder(t)
  const random = createRandom(4)
  let newest = 0
  let unfinished = 0
  for (let i = 0; i < 20; i++) {
    const reported = await saveUntilKilled(folder, newest + 1, random() * 30)
    const found = await loadNewestCheckpoint(folder)
    if (found === undefined) return t.fail('no checkpoint is left')
    t.deepEqual(found.skipped, [])
    t.true(found.step > newest && found.step >= reported, `${found.step} of ${reported}`)
    t.deepEqual(found.state, { step: found.step })
    const content = Buffer.from(contentOf(found.step).buffer)
    t.true(content.equals(found.tensors.bytes('weight')))
    newest = found.step
    unfinished += (await readdir(folder)).filter((name) => name.endsWith('.tmp')).length
  }
  t.log(`${newest} checkpoints; ${unfinished} unfinished files seen after 20 kills`)
  await saveCheckpoint(folder, newest + 1, [], null, { keep: 1 })
  t.is((await readdir(folder)).length, 1, 'unfinished and older files are gone')
})
