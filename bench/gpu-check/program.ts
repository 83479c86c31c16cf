/** Runs programs with the build and device that are checked, each with a limit of time, and keeps what they print. */
import { spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { packageRoot } from '../../ts/native.js'

/**
 * What is checked, for this process and those it starts: build/cuda on a GPU. To rehearse a piece where there is none:
 * CAPTIONEER_VARIANT=emulated, or CAPTIONEER_VARIANT=cpu CAPTIONEER_TEST_DEVICE=cpu.
 */
export function chooseChecked(): { readonly variant: string; readonly device: 'cpu' | 'cuda' } {
  process.env.CAPTIONEER_VARIANT ||= 'cuda'
  process.env.CAPTIONEER_TEST_DEVICE ||= 'cuda'
  const { CAPTIONEER_VARIANT: variant, CAPTIONEER_TEST_DEVICE: device } = process.env
  return { variant, device: device === 'cpu' ? 'cpu' : 'cuda' }
}

export interface Ran {
  /** Exit code; 124 for a program that ran too long. */
  readonly status: number
  readonly output: string
}

/** Starts a program in the package's folder and waits for it. */
export type Run = (command: string, args: readonly string[]) => Promise<Ran>

/** A program that ran too long: ended with all that it had started. */
export const tooLong = 124

/**
 * @param seconds limit of each program
 * @param log     file that what they print is added to as it comes
 */
export function createRun(seconds: number, log?: string): Run {
  return (command, args) =>
    new Promise((resolve, reject) => {
      if (log) appendFileSync(log, `\n$ ${[command, ...args].join(' ')}\n`)
      // A group of its own: the PyTorch that a benchmark has started ends with it.
      const child = spawn(command, args, {
        cwd: packageRoot,
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      })
      let output = ''
      let late = false
      const end = () => {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      }
      const interrupted = () => {
        end()
        process.exit(130)
      }
      process.once('SIGINT', interrupted)
      const timer = setTimeout(() => {
        late = true
        end()
      }, seconds * 1000)
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text
          if (log) appendFileSync(log, text)
        })
      child.on('error', reject)
      child.on('close', (status) => {
        clearTimeout(timer)
        process.off('SIGINT', interrupted)
        resolve({ status: late ? tooLong : (status ?? 1), output })
      })
    })
}
