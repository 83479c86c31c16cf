/** PyTorch as a process of its own: started where a Python with torch is found, asked through JSON lines. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { CaptioneerError } from '../ts/errors.js'
import { type Device, packageRoot } from '../ts/native.js'

/** PyTorch, as bench/peers/serve.py answers. */
export interface Peer {
  readonly torch: string
  readonly python: string
  /** @throws PeerError when the other side fails */
  ask<T>(command: string, options?: Readonly<Record<string, unknown>>): Promise<T>
  close(): void
}

/** PyTorch's side failed, not ours. */
export class PeerError extends CaptioneerError {
  constructor(command: string, reason: string) {
    super('ERR_BENCH', `bench: PyTorch's side failed in "${command}": ${reason}`)
  }
}

/** Why there is nothing to compare with. */
export interface NoPeer {
  readonly missing: string
}

/**
 * Starts PyTorch with so many threads, or says why there is none. CAPTIONEER_PYTHON names the Python, else python3.
 * @throws PeerError when PyTorch is there and does not get to the device
 */
export async function startPeer(threads: number, device: Device['name']): Promise<Peer | NoPeer> {
  const python = process.env.CAPTIONEER_PYTHON || 'python3'
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
  // A program that is not there, and one that ends before it has read: the output then ends, too.
  child.on('error', () => {})
  child.stdin.on('error', () => {})
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const send = async (cmd: string, options: object) => {
    child.stdin.write(`${JSON.stringify({ cmd, ...options })}\n`)
    return lines.next()
  }
  const ask = async <T>(cmd: string, options: object = {}) => {
    const { value, done } = await send(cmd, options)
    if (done) throw new PeerError(cmd, ended(child))
    const answer = JSON.parse(value) as T & { error?: string }
    if (answer.error !== undefined) throw new PeerError(cmd, answer.error)
    return answer
  }
  const { value, done } = await send('hello', { threads, device })
  const facts = done ? { missing: ended(child) } : (JSON.parse(value) as Hello)
  if (facts.error !== undefined) throw new PeerError('hello', facts.error)
  if (facts.missing !== undefined)
    return {
      missing:
        `${python} cannot import torch (${facts.missing}); CAPTIONEER_PYTHON=/path/to/python names ` +
        'one that can',
    }
  return { torch: facts.torch ?? '', python: facts.python ?? '', ask, close: () => end(child) }
}

interface Hello {
  readonly torch?: string
  readonly python?: string
  readonly missing?: string
  readonly error?: string
}

const secondsToEnd = 5

/** Lets it end by itself, so that helpers of its compiler do, too. */
function end(child: ChildProcess): void {
  child.stdin?.end()
  setTimeout(() => child.kill('SIGKILL'), 1000 * secondsToEnd).unref()
}

function ended({ pid, exitCode, signalCode }: ChildProcess): string {
  if (pid === undefined) return 'it did not start'
  return `its process ended (${signalCode ?? exitCode ?? 'output closed'})`
}
