/**
 * The emulator's own tests: correct kernels pass under every schedule, planted bugs are reported. Each program of
 * tests/emulator/kernels prints "ok NAME" or "not ok NAME: why" for each of its cases.
 */
import { spawnSync } from 'node:child_process'
import test, { type ExecutionContext } from 'ava'
import { buildPrograms, hasCompiler } from './programs.js'

const programs = ['ordinary', 'ampere', 'hopper', 'layouts', 'runtime'] as const

let built: Map<string, string> | undefined

test.before(async (t) => {
  t.timeout(300_000, 'compiling the emulator')
  if (hasCompiler) built = await buildPrograms()
  else t.log('skipped: the emulator is compiled with g++, which was not found')
})

for (const name of programs) test.serial(name, (t) => runProgram(t, name))

test('every program is run', (t) => {
  t.deepEqual([...(built?.keys() ?? programs)].sort(), [...programs].sort())
})

test('a setting that is not understood stops the program', (t) => {
  if (!built) {
    t.pass()
    return
  }
  const { status, stderr } = spawnSync(built.get('ordinary') ?? '', {
    encoding: 'utf8',
    env: { ...process.env, CAPTIONEER_EMULATOR_CAPABILITY: '7.5' },
  })
  t.is(status, 2)
  t.regex(stderr, /CAPTIONEER_EMULATOR_CAPABILITY=7\.5, expected 8\.0 or 9\.0/)
})

function runProgram(t: ExecutionContext, name: string): void {
  if (!built) {
    t.pass()
    return
  }
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !key.startsWith('CAPTIONEER_EMULATOR_')),
  )
  const { status, stdout, stderr, signal } = spawnSync(built.get(name) ?? name, {
    encoding: 'utf8',
    env,
  })
  const lines = stdout.split('\n').filter((line) => line !== '')
  t.deepEqual(
    lines.filter((line) => !line.startsWith('ok ')),
    [],
  )
  t.true(lines.length >= 5, `${lines.length} cases ran`)
  t.is(status, 0, `${signal ?? ''} ${stderr}`)
}
