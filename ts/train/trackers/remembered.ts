/** Names under which outside services know a run, kept in `trackers.json` of its folder for its resumption. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeAtomic } from '../../files/atomic.js'

const schema = z.record(z.string(), z.string())

/** The names by service; none where the file is missing or no such file. */
export async function rememberedNames(folder: string): Promise<Record<string, string>> {
  try {
    return schema.parse(JSON.parse(await readFile(join(folder, 'trackers.json'), 'utf8')))
  } catch {
    return {}
  }
}

// Two services may be told at once.
let writing = Promise.resolve()

/** Adds a name. Throws CheckpointError when the file cannot be written. */
export function rememberName(folder: string, service: string, name: string): Promise<void> {
  const added = writing.then(async () => {
    const names = { ...(await rememberedNames(folder)), [service]: name }
    await writeAtomic(join(folder, 'trackers.json'), (file) =>
      file.writeFile(`${JSON.stringify(names, null, 2)}\n`),
    )
  })
  writing = added.catch(() => {})
  return added
}
