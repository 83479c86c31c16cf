/** Loads a build of the addon in a process of its own, where a crash or a driver that hangs does no harm. */
import { spawnSync } from 'node:child_process'

export interface TestLoad {
  /** What loading it threw. */
  readonly error?: string
  /** How it ended the process, in words: it must not be loaded here. */
  readonly crash?: string
  /** As the addon says it; '' where a GPU can be used. */
  readonly whyNoGpu?: string
}

const script = `
try {
  process.stdout.write(JSON.stringify({ whyNoGpu: require(process.argv[1]).whyNoGpu() }))
} catch (error) {
  process.stdout.write(JSON.stringify({ error: error.message }))
}`

/** @param file the addon, a .node */
export function testLoad(file: string): TestLoad {
  const seconds = 30
  const { stdout, signal, status, error } = spawnSync(process.execPath, ['-e', script, file], {
    encoding: 'utf8',
    timeout: seconds * 1000,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'pipe', 'ignore'],
    // Inherited options, e.g. of a test runner, would be loaded there too. Electron is a Node when told so.
    env: { ...process.env, NODE_OPTIONS: '', ELECTRON_RUN_AS_NODE: '1' },
  })
  if (stdout?.startsWith('{')) return JSON.parse(stdout) as TestLoad
  if (error && 'code' in error && error.code === 'ETIMEDOUT')
    return { crash: `it did not load within ${seconds} seconds` }
  return { crash: `it crashes while it is loaded (${signal ?? `exit ${status}`})` }
}
