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
  const lines = records.map((record) => JSON.stringify({ ...record, ...facts }))
  if (file === undefined) for (const line of lines) print(line)
  else await appendFile(file, `${lines.join('\n')}\n`)
}
