/** PyTorch as a process of its own: started where a Python with torch is found, asked through JSON lines. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { CaptioneerError } from '../ts/errors.js'
import { packageRoot } from '../ts/native.js'

/** PyTorch, as bench/peers/serve.py answers. */
export interface Peer {
  readonly torch: string
  readonly python: string
  ask<T>(command: string, options: Readonly<Record<string, unknown>>): Promise<T>
  close(): void
}

/** Starts PyTorch with so many threads, or says why there is none. CAPTIONEER_PYTHON names the Python, else python3. */
export async function startPeer(threads: number): Promise<Peer | { readonly missing: string }> {
  const python = process.env.CAPTIONEER_PYTHON || 'python3'
  try {
    await promisify(execFile)(python, ['-c', 'import torch'])
  } catch {
    return {
      missing: `${python} cannot import torch; CAPTIONEER_PYTHON=/path/to/python names one that can`,
    }
  }
  const serve = join(packageRoot, 'bench', 'peers', 'serve.py')
  const child = spawn(python, ['-W', 'ignore', serve], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      // A core for each thread, as our own device gives them.
      OMP_PROC_BIND: process.env.OMP_PROC_BIND ?? 'true',
      PYTHONDONTWRITEBYTECODE: '1',
    },
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ask = async <T>(cmd: string, options: object) => {
    child.stdin.write(`${JSON.stringify({ cmd, ...options })}\n`)
    const { value, done } = await lines.next()
    if (done) throw failure(cmd, ended(child))
    const answer = JSON.parse(value) as T & { error?: string }
    if (answer.error !== undefined) throw failure(cmd, answer.error)
    return answer
  }
  const facts = await ask<{ torch: string; python: string }>('hello', { threads })
  return { ...facts, ask, close: () => child.stdin.end() }
}

function ended({ exitCode, signalCode }: ChildProcess): string {
  return `its process ended (${signalCode ?? exitCode ?? 'output closed'})`
}

function failure(command: string, reason: string): CaptioneerError {
  return new CaptioneerError('ERR_BENCH', `bench: PyTorch's side failed in "${command}": ${reason}`)
}
