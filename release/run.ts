/** Runs programs, and says which one failed and how. */
import { type SpawnOptions, type SpawnSyncOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/** Output goes to the terminal. Throws unless the exit code is 0. */
export function run(
  command: string,
  args: readonly string[],
  options: SpawnSyncOptions = {},
): void {
  const { status, signal, error } = spawnSync(command, args, { stdio: 'inherit', ...options })
  if (status !== 0) throw failure(command, args, error?.message ?? signal ?? `exit ${status}`)
}

/** @returns what it printed. Throws, with what it said, unless the exit code is 0. */
export function output(
  command: string,
  args: readonly string[],
  options: SpawnSyncOptions = {},
): string {
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, {
    maxBuffer: 256 << 20,
    ...options,
    encoding: 'utf8',
  })
  if (status === 0) return stdout
  throw failure(
    command,
    args,
    `${error?.message ?? signal ?? `exit ${status}`}\n${end(stderr, stdout)}`,
  )
}

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** As output(), while this process goes on. Never rejects because of an exit code. */
export async function outcome(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<Outcome> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ])
  return { code, stdout, stderr }
}

function end(...streams: (string | undefined)[]): string {
  return streams.join('').trim().split('\n').slice(-15).join('\n')
}

function failure(command: string, args: readonly string[], how: string): Error {
  return new Error(`${command} ${args.join(' ')}: ${how}`)
}
