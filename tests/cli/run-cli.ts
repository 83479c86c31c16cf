/** Runs the compiled command as a user would, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { packageRoot } from '../../ts/native.js'

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  /** Of stdout. */
  readonly bytes: Buffer
  readonly stderr: string
}

export interface CliOptions {
  /** Bytes for stdin. */
  readonly input?: Uint8Array
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** The user it runs as, where the tests run as root. */
  readonly uid?: number
  /** Called once the process is there. */
  readonly onStart?: (child: ChildProcess) => void
}

const main = join(packageRoot, 'dist/ts/cli/main.js')

/** Milliseconds after which a command is killed: below the runner's own limit, which ends every test and not the one at fault. */
const HUNG_MS = 4 * 60 * 1000

/**
 * `captioneer <words>`, to its end. Colours are off, as no stream is a terminal. A GPU build beside the CPU's would tell of a
 * missing GPU where tests expect other words.
 */
export async function cli(
  words: readonly string[],
  { input, env, cwd, uid, onStart }: CliOptions = {},
): Promise<CliResult> {
  const child = spawn(process.execPath, [main, ...words], {
    env: { CAPTIONEER_VARIANT: 'cpu', ...process.env, ...env },
    timeout: HUNG_MS,
    killSignal: 'SIGKILL',
    ...(cwd === undefined ? {} : { cwd }),
    ...(uid === undefined ? {} : { uid }),
  })
  child.stdin.end(input ?? '')
  onStart?.(child)
  const [bytes, stderr, [code]] = await Promise.all([
    child.stdout.destroyed ? Buffer.of() : buffer(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ])
  return { code, stdout: bytes.toString(), bytes, stderr }
}
