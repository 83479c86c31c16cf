/** What a benchmark prints: a table for people, and a JSON line a record with where and when it was measured. */
import { appendFile } from 'node:fs/promises'
import { table } from '../ts/cli/format.js'
import { print } from '../ts/cli/terminal.js'

export interface Report {
  /** Heading and rows of the table. */
  readonly rows: readonly (readonly string[])[]
  readonly records: readonly object[]
}

/** Where it goes. */
export interface Destination {
  /** A file that the JSON lines are appended to. */
  readonly out?: string
  /** JSON lines alone. */
  readonly json?: boolean
}

/** Prints the table, and keeps the records after it. */
export async function show(
  { rows, records }: Report,
  facts: object,
  to: Destination,
): Promise<void> {
  if (!to.json) print(table(rows))
  for (const record of records) await keep(record, facts, to)
}

/** Prints a record as a JSON line, or appends it to the file. */
export async function keep(record: object, facts: object, { out }: Destination): Promise<void> {
  const line = JSON.stringify({ ...record, ...facts })
  if (out === undefined) print(line)
  else await appendFile(out, `${line}\n`)
}
