/** The one file that the pieces of a check write: an object with one entry a piece. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { writeAtomic } from '../../ts/files/atomic.js'
import type { Run } from './program.js'

/** What became of a piece. */
export interface Outcome {
  readonly passed: boolean
  /** One sentence for people. */
  readonly summary: string
  /** Figures, failures, whatever the piece has to tell. */
  readonly details?: unknown
}

/** A part of the check that ends within the limit of `run`'s programs. */
export type Piece = (run: Run) => Promise<Outcome>

/** Puts `entry` under `piece` in the file, beside what is there. */
export async function keepPiece(file: string, piece: string, entry: object): Promise<void> {
  const known = existsSync(file)
    ? (JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>)
    : {}
  const text = `${JSON.stringify({ ...known, [piece]: entry }, null, 1)}\n`
  await writeAtomic(file, (handle) => handle.writeFile(text))
}
