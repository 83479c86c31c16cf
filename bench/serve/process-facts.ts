/** What Linux tells of a process that runs: memory, open files, children. */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

export interface ProcessFacts {
  /** Resident memory now, and the most there ever was, MiB. */
  readonly memory: number
  readonly peak: number
  /** Open files and sockets. */
  readonly files: number
}

export function processFacts(pid: number): ProcessFacts {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const mib = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024
  return {
    memory: mib('VmRSS'),
    peak: mib('VmHWM'),
    files: readdirSync(`/proc/${pid}/fd`).length,
  }
}

export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}

/** Facts of a process every 200 ms, until `stop`. */
export function watchProcess(pid: number): { readonly stop: () => Promise<ProcessFacts[]> } {
  const controller = new AbortController()
  const facts: ProcessFacts[] = []
  const watching = (async () => {
    while (!controller.signal.aborted) {
      facts.push(processFacts(pid))
      await delay(200, undefined, { signal: controller.signal }).catch(() => {})
    }
  })()
  return {
    stop: async () => {
      controller.abort()
      await watching
      return facts
    },
  }
}
