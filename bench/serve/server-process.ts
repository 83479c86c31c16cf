/** `captioneer serve` as a user starts it: a process of its own, from the compiled command. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { CaptioneerError } from '../../ts/errors.js'
import { packageRoot } from '../../ts/package-root.js'
import { childrenOf } from './process-facts.js'

export interface ServerProcess {
  readonly port: number
  readonly pid: number
  /** The process that the model is in; another one after it was lost. */
  readonly modelPid: () => number
  /** All that it has said: notes, and its log. */
  readonly said: () => string
  readonly signal: (name: NodeJS.Signals) => void
  /** Its exit code; null when a signal ended it. */
  readonly ended: Promise<number | null>
  /** Ends it in good order, or by force after 20 s. */
  readonly end: () => Promise<void>
}

const main = join(packageRoot, 'dist/ts/cli/main.js')

/** @param words more words of the command */
export async function startServer(
  model: string,
  words: readonly string[] = [],
): Promise<ServerProcess> {
  const serve = ['serve', '--model', `checked=${model}`, '--port', '0', '--json']
  const child = spawn(process.execPath, [main, ...serve, '--log', 'warn', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (text) => {
    said += text
  })
  const killChild = (): void => void child.kill('SIGKILL')
  process.once('exit', killChild)
  const ended = once(child, 'close').then(([code]) => {
    process.off('exit', killChild)
    return code as number | null
  })
  const first = once(child.stdout, 'data').then(String)
  const line = await Promise.race([first, ended.then(() => '')])
  if (!line.startsWith('{'))
    throw new CaptioneerError('ERR_SYSTEM', `starting the server: it ended and said:\n${said}`)
  const { url } = JSON.parse(line) as { readonly url: string }
  const pid = child.pid ?? 0
  return {
    port: Number(new URL(url).port),
    pid,
    modelPid: () => childrenOf(pid)[0] ?? 0,
    said: () => said,
    signal: (name) => void child.kill(name),
    ended,
    end: async () => {
      child.kill('SIGTERM')
      const force = setTimeout(killChild, 20_000)
      await ended
      clearTimeout(force)
    },
  }
}
