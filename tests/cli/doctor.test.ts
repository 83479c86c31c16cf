/** `captioneer doctor` where the addon loads, and where it does not. */
import test from 'ava'
import { cli } from './run-cli.js'

test('a machine that works', async (t) => {
  const { code, stdout, stderr } = await cli(['doctor', '--json'])
  t.is(code, 0)
  t.is(stderr, '')
  const { node, machine, variants, devices, problems } = JSON.parse(stdout)
  t.is(node, process.version)
  t.true(machine.cores >= 1 && machine.memoryBytes > machine.freeMemoryBytes)
  t.true(variants.some(({ loaded }: { loaded: boolean }) => loaded))
  t.true(devices.some(({ name }: { name: string }) => name === 'cpu'))
  t.true(Array.isArray(problems))
})

test('no build of the addon: says which were tried, why they failed and what to do', async (t) => {
  const env = { CAPTIONEER_VARIANT: 'nonsense' }
  const { code, stdout } = await cli(['doctor', '--json'], { env })
  t.is(code, 1)
  const { variants, devices, problems } = JSON.parse(stdout)
  t.like(variants, [{ variant: 'nonsense', loaded: false }])
  t.regex(variants[0].reason, /^not built: there is no .*nonsense/)
  t.deepEqual(devices, [])
  t.regex(problems[0].solution, /CAPTIONEER_VARIANT asks for "nonsense" alone: unset it/)

  const text = await cli(['doctor'], { env })
  t.is(text.code, 1)
  t.regex(text.stdout, /nonsense: not built: there is no .*nonsense/)
})

test('commands that need the addon say the same', async (t) => {
  const { code, stderr } = await cli(['train', '--data', '.', '--preset', 'tiny'], {
    env: { CAPTIONEER_VARIANT: 'nonsense' },
  })
  t.is(code, 1)
  t.regex(stderr, /^error: captioneer: its native addon could not be loaded\.\n {2}nonsense /)
  t.regex(stderr, /Possible solutions:/)
})
