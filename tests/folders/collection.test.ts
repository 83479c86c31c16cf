/** One file for all captions, without a model: what is added, replaced, gone on with and left alone. */
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { DataError } from '../../ts/errors.js'
import { createCollection } from '../../ts/folders/collection.js'
import type { ExistingRule } from '../../ts/folders/destination.js'
import { temporaryFolder } from '../files/temporary-folder.js'
import { writePictures } from './pictures.js'

type Format = 'jsonl' | 'csv' | 'html'

interface Run {
  readonly ifExists?: ExistingRule
  readonly resume?: boolean
  readonly text?: string
  /** Ends after so many rows, unfinished. */
  readonly killAfter?: number
}

/** Captions pictures of a folder into all.<format>. @returns what was skipped */
async function captions(folder: string, format: Format, names: readonly string[], run: Run = {}) {
  const { ifExists = 'skip', resume = false, text = 'a dog', killAfter } = run
  const file = join(folder, `all.${format}`)
  const options = { format, file, ifExists, resume, before: '', after: '' }
  const destination = createCollection(options)
  const { planned, pending, abandons } = await destination.plan(
    names.map((name) => ({ path: join(folder, name), name })),
  )
  const missing = planned.filter(({ action }) => action === 'write')
  if (missing.length > 0 || pending) {
    await destination.begin()
    for (const item of missing.slice(0, killAfter))
      await destination.write(item, { text: `${text} ${item.picture.name}`, score: -1, tokens: [] })
    await destination.end(killAfter === undefined)
  }
  return { skipped: names.length - missing.length, abandons }
}

/** How often a picture has the caption in the file. */
async function count(folder: string, format: Format, text: string): Promise<number> {
  const found = await readFile(join(folder, `all.${format}`), 'utf8')
  const pattern = { jsonl: `"caption":"${text}"`, csv: `,${text},`, html: `dir="auto">${text}<` }
  return found.split(pattern[format]).length - 1
}

for (const format of ['jsonl', 'csv', 'html'] as const) {
  test(`${format}: skip adds the new ones, and nothing new changes nothing`, async (t) => {
    const folder = await temporaryFolder(t)
    await writePictures(folder, ['p2.png', 'p1.png', 'p10.png'])
    const file = join(folder, `all.${format}`)
    await captions(folder, format, ['p2.png', 'p10.png'])
    const first = await readFile(file, 'utf8')
    const all = ['p1.png', 'p2.png', 'p10.png']
    t.is((await captions(folder, format, all)).skipped, 2)
    const second = await readFile(file, 'utf8')
    if (format === 'html') t.true(second.indexOf('p1.png') < second.indexOf('p2.png'))
    else t.true(second.startsWith(first))
    for (const name of all) t.is(await count(folder, format, `a dog ${name}`), 1)
    const { mtimeMs } = await stat(file)
    t.is((await captions(folder, format, all)).skipped, 3)
    t.is((await stat(file)).mtimeMs, mtimeMs)
    t.deepEqual((await readdir(folder)).sort(), [`all.${format}`, 'p1.png', 'p10.png', 'p2.png'])
  })

  test(`${format}: overwrite leaves the old file until it is done, and resumes`, async (t) => {
    const folder = await temporaryFolder(t)
    const names = ['a.png', 'b.png', 'c.png']
    await writePictures(folder, names)
    const file = join(folder, `all.${format}`)
    await captions(folder, format, names)
    const old = await readFile(file, 'utf8')
    await captions(folder, format, names, { ifExists: 'overwrite', text: 'a cat', killAfter: 2 })
    t.is(await readFile(file, 'utf8'), old)
    t.true((await captions(folder, format, names)).abandons)
    t.is(await readFile(file, 'utf8'), old)
    const again = { ifExists: 'overwrite', text: 'a cow', resume: true } as const
    t.deepEqual(await captions(folder, format, names, again), { skipped: 2, abandons: false })
    t.is(await count(folder, format, 'a cat a.png'), 1)
    t.is(await count(folder, format, 'a cow c.png'), 1)
    t.is(await count(folder, format, 'a dog a.png'), 0)
    t.deepEqual((await readdir(folder)).sort(), [...names, `all.${format}`].sort())
  })

  test(`${format}: append adds a row for each, once, also when it was cut off`, async (t) => {
    const folder = await temporaryFolder(t)
    const names = ['a.png', 'b.png']
    await writePictures(folder, names)
    await captions(folder, format, names)
    const append = { ifExists: 'append', text: 'a cat' } as const
    await captions(folder, format, names, { ...append, killAfter: 1 })
    t.is((await captions(folder, format, names, { ...append, resume: true })).skipped, 1)
    for (const name of names)
      for (const text of ['a dog', 'a cat'])
        t.is(await count(folder, format, `${text} ${name}`), 1, `${text} ${name}`)

    const again = { ifExists: 'append', text: 'a cow' } as const
    await captions(folder, format, names, { ...again, killAfter: 2 })
    const part = join(folder, `.all.${format}.unfinished-append`)
    const rows = await readFile(part)
    await captions(folder, format, names, { ...again, resume: true })
    const whole = await readFile(join(folder, `all.${format}`), 'utf8')
    await writeFile(part, rows) // as if it had been killed before it could remove them
    await captions(folder, format, names, { ...again, resume: true })
    t.is(await readFile(join(folder, `all.${format}`), 'utf8'), whole)
  })

  test(`${format}: a file of something else stays`, async (t) => {
    const folder = await temporaryFolder(t)
    await writePictures(folder, ['a.png'])
    const file = join(folder, `all.${format}`)
    await writeFile(file, 'something;else\n1;2\n')
    for (const ifExists of ['skip', 'overwrite', 'append'] as const)
      await t.throwsAsync(captions(folder, format, ['a.png'], { ifExists }), {
        instanceOf: DataError,
        message: /holds something else.*--out/,
      })
    t.is(await readFile(file, 'utf8'), 'something;else\n1;2\n')
  })
}
