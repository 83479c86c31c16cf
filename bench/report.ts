/** What a benchmark prints: a table for people, and a JSON line a record with where and when it was measured. */
import { appendFile } from 'node:fs/promises'
import { table } from '../ts/cli/format.js'
import { print } from '../ts/cli/terminal.js'

export interface Report {
  /** Heading and rows of the table. */
  readonly rows: readonly (readonly string[])[]
  readonly records: readonly object[]
}

/** Prints the table, and the records after it or to the end of `file`. */
export async function show(
  { rows, records }: Report,
  facts: object,
  file: string | undefined,
): Promise<void> {
  print(table(rows))
  for (const record of records) await keep(record, facts, file)
}

/** Prints a record as a JSON line, or appends it to `file`. */
export async function keep(record: object, facts: object, file: string | undefined): Promise<void> {
  const line = JSON.stringify({ ...record, ...facts })
  if (file === undefined) print(line)
  else await appendFile(file, `${line}\n`)
}
