/**
 * One file with the captions of all pictures. Rows are appended as they come. A file that is to be replaced stays as it
 * is until all rows are there: meanwhile they are in a hidden file beside it. What rows look like is rows.ts.
 */
import { existsSync } from 'node:fs'
import { type FileHandle, mkdir, open, readFile, rm } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import { DataError, internalError } from '../errors.js'
import { removeLeftovers, writeAtomic } from '../files/atomic.js'
import { fileError, systemCode } from '../files/system-error.js'
import {
  type Destination,
  type DestinationOptions,
  type ExistingRule,
  writtenCaptions,
} from './destination.js'
import { rowFormats } from './rows.js'

export interface CollectionOptions extends DestinationOptions {
  readonly format: keyof typeof rowFormats
  readonly file: string
}

export function createCollection(options: CollectionOptions): Destination {
  const { file, ifExists, resume } = options
  const format = rowFormats[options.format]
  const folder = dirname(file)
  const partOf = (rule: ExistingRule) => join(folder, `.${basename(file)}.unfinished-${rule}`)
  const unfinished = partOf(ifExists)
  // A page has an end, and is written anew each time.
  const inPlace = ifExists === 'skip' && options.format !== 'html'
  const goesOn = resume || ifExists === 'skip'
  const nameOf = (path: string) => relative(folder, path).replaceAll(sep, '/')
  let rows: FileHandle | undefined

  const readFiles = async () => {
    const [text, begun] = [await readText(file), await readText(unfinished)]
    const old = format.read(text ?? '')
    if (old.foreign)
      throw new DataError(
        `caption: ${file} holds something else than captions of captioneer as ${options.format}. Choose another --out`,
      )
    return { text, old, begun: begun === undefined ? undefined : format.read(begun) }
  }

  return {
    async plan(pictures) {
      const { old, begun } = await readFiles()
      const others = (['overwrite', 'append'] as const).filter((rule) => rule !== ifExists)
      const done = new Set([
        ...(ifExists === 'skip' ? old.images : []),
        ...(goesOn && !inPlace ? (begun?.images ?? []) : []),
      ])
      return {
        planned: pictures.map((picture) => {
          const action = done.has(nameOf(picture.path)) ? 'skip' : 'write'
          return { picture, output: file, action }
        }),
        pending: begun !== undefined && goesOn && !inPlace,
        abandons:
          (begun !== undefined && !goesOn) || others.some((rule) => existsSync(partOf(rule))),
        remarks: [],
      }
    },
    async begin() {
      try {
        await mkdir(folder, { recursive: true })
        await removeLeftovers(folder, (name) => name === basename(file))
        const { text, old, begun } = await readFiles()
        const [path, there, repaired] = inPlace
          ? [file, text, format.file(old.head, old.rows)]
          : [unfinished, undefined, goesOn ? (begun?.rows ?? '') : '']
        if (there !== repaired) await writeAtomic(path, (out) => out.writeFile(repaired))
        rows = await open(path, 'a')
      } catch (error) {
        throw fileError(`saving ${file}`, error)
      }
    },
    async write({ picture: { path } }, caption) {
      if (!rows) throw internalError('caption: a row before the file was opened')
      const captions = writtenCaptions(caption, options)
      await append(rows, await format.write({ image: nameOf(path), path, captions }), file)
    },
    async end(complete) {
      await rows?.close()
      rows = undefined
      if (inPlace || !(complete || ifExists === 'skip')) return
      const { old, begun } = await readFiles()
      if (begun === undefined) return
      // A run that was killed after the next step has added its rows already.
      const isThere = ifExists === 'append' && old.rows.endsWith(begun.rows)
      const added = isThere ? '' : begun.rows
      const content = format.file(old.head, ifExists === 'overwrite' ? added : old.rows + added)
      await writeAtomic(file, (out) => out.writeFile(content))
      await rm(unfinished, { force: true })
    },
  }
}

/** Appends text; a part of it that could be written only is taken back. */
async function append(file: FileHandle, text: string, name: string): Promise<void> {
  try {
    const { size } = await file.stat()
    await file.writeFile(text).catch(async (error) => {
      await file.truncate(size).catch(() => {})
      throw error
    })
  } catch (error) {
    throw fileError(`saving ${name}`, error)
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw fileError(`reading ${path}`, error)
  }
}
