/**
 * Nothing on the CPU reads or writes beyond its blocks: with CAPTIONEER_GUARD=1 memory that nobody may touch follows each.
 * Products ask oneDNN for scratch memory by their rows, and few rows can need more than many.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const program = fileURLToPath(new URL('./guarded.js', import.meta.url))

test('an attending LSTM whose captions end one after another', (t) => {
  const env = { ...process.env, CAPTIONEER_GUARD: '1' }
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [program], {
    env,
    encoding: 'utf8',
  })
  t.deepEqual({ status, signal, stdout }, { status: 0, signal: null, stdout: 'done\n' }, stderr)
})
