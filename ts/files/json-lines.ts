/**
 * JSON lines files such as history.jsonl: rows are only ever appended, so a killed process costs at most
 * a part of the last line, which readers pass over. What the rows hold is left to the caller.
 */
import { open, readFile } from 'node:fs/promises'
import { writeAtomic } from './atomic.js'
import { fileError, systemCode } from './system-error.js'

/**
 * Appends one row, and creates the file when there is none. A row that cannot be written whole is taken
 * back, so that the next one starts on a line of its own.
 *
 * @throws CheckpointError when the system refuses (disk full, no permission, ...)
 */
export async function appendJsonLine(path: string, row: object): Promise<void> {
  try {
    const file = await open(path, 'a')
    try {
      const { size } = await file.stat()
      await file.writeFile(`${JSON.stringify(row)}\n`).catch(async (error) => {
        await file.truncate(size).catch(() => {})
        throw error
      })
    } finally {
      await file.close()
    }
  } catch (error) {
    throw fileError(`saving ${path}`, error)
  }
}

/**
 * The rows of a file in order; lines that are not whole JSON objects are left out.
 *
 * @returns an empty list when there is no such file
 * @throws CheckpointError when the file cannot be read
 */
export async function readJsonLines(path: string): Promise<Record<string, unknown>[]> {
  const { lines } = await readLines(path)
  return lines.map(parseRow).filter((row) => row !== undefined)
}

/**
 * Prepares a history for a run that resumes at `step`: drops the rows of later steps, which the run will
 * write again, and lines that a killed process left torn. Rows without a `step` stay.
 *
 * @throws CheckpointError when the file cannot be read or replaced; it is unchanged then
 */
export async function truncateHistoryAfter(path: string, step: number): Promise<void> {
  const { lines, torn } = await readLines(path)
  const kept = lines.filter((line) => {
    const row = parseRow(line)
    return row !== undefined && !(typeof row.step === 'number' && row.step > step)
  })
  if (!torn && kept.length === lines.length) return
  await writeAtomic(path, (file) => file.writeFile(kept.map((line) => `${line}\n`).join('')))
}

// A part without a line break at the end of the file is a torn line, also where it happens to be JSON.
async function readLines(path: string): Promise<{ lines: string[]; torn: boolean }> {
  try {
    const lines = (await readFile(path, 'utf8')).split('\n')
    return { torn: lines.pop() !== '', lines }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { lines: [], torn: false }
    throw fileError(`reading ${path}`, error)
  }
}

function parseRow(line: string): Record<string, unknown> | undefined {
  try {
    const row: unknown = JSON.parse(line)
    const isRow = typeof row === 'object' && row !== null && !Array.isArray(row)
    return isRow ? (row as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
