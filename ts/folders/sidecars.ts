/**
 * A text or JSON file beside each picture, or in a folder that mirrors the pictures' folders. Which names they have is
 * sidecar-names.ts, what stands in them sidecar-text.ts.
 */
import { constants } from 'node:fs'
import { access, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { isImageName } from '../data/data-folder.js'
import { DataError } from '../errors.js'
import { removeLeftovers, writeAtomic } from '../files/atomic.js'
import { fileError, systemCode, systemReason } from '../files/system-error.js'
import {
  type Destination,
  type DestinationOptions,
  type Planned,
  writtenCaptions,
} from './destination.js'
import type { Picture } from './find-pictures.js'
import { sidecarNames } from './sidecar-names.js'
import { jsonSidecar, textSidecar } from './sidecar-text.js'

export interface SidecarOptions extends DestinationOptions {
  readonly format: 'txt' | 'json'
  /** With its point. */
  readonly extension: string
  /** The folder that mirrors those of the pictures; beside them when left out. */
  readonly out: string | undefined
  /** Where a run that replaces or adds captions leaves its mark until it is done. */
  readonly home: string
}

/** The mark's name. Sidecars younger than the mark are of the run that left it. */
const MARK = '.captioneer-unfinished'

export function createSidecars(options: SidecarOptions): Destination {
  const { format, extension, out, home, ifExists, resume } = options
  const mark = join(out ?? home, MARK)
  let folders: readonly string[] = []

  return {
    async plan(pictures) {
      const outputs = await outputsOf(pictures, extension, out)
      refuseShared(pictures, outputs)
      const states = new Map<string, FolderState>()
      for (const folder of new Set(outputs.map((output) => dirname(output))))
        states.set(folder, await folderState(folder))
      folders = [...states].flatMap(([folder, { refusal }]) =>
        refusal === undefined ? folder : [],
      )
      const since = await timeOf(mark)
      const isDone = async (output: string) =>
        ifExists === 'skip' ||
        (resume && since !== undefined && ((await timeOf(output)) ?? 0) > since)
      const decide = async (picture: Picture, i: number): Promise<Planned> => {
        const output = outputs[i] ?? ''
        const { names, refusal } = states.get(dirname(output)) ?? {}
        if (names?.has(basename(output)) && (await isDone(output)))
          return { picture, output, action: 'skip' }
        if (refusal !== undefined) return { picture, output, action: 'fail', reason: refusal }
        return { picture, output, action: 'write' }
      }
      return {
        planned: await Promise.all(pictures.map(decide)),
        pending:
          (resume && since !== undefined) ||
          [...states.values()].some(({ names }) =>
            [...names].some((name) => /^\..+\.tmp$/.test(name)),
          ),
        abandons: since !== undefined && (ifExists === 'skip' || !resume),
        remarks: remarksOn(pictures, outputs, extension),
      }
    },
    async begin() {
      for (const folder of folders) {
        await makeFolder(folder)
        await removeLeftovers(folder, (name) => name.endsWith(extension))
      }
      if (ifExists === 'skip' || (resume && (await timeOf(mark)) !== undefined)) return
      try {
        await writeFile(mark, 'captioneer was cut off here, or is at work; --resume goes on.\n')
      } catch (error) {
        throw fileError(`saving ${mark}`, error)
      }
    },
    async write({ picture, output }, caption) {
      const captions = writtenCaptions(caption, options)
      const old = await readOld(output)
      const text =
        format === 'txt'
          ? textSidecar(captions, ifExists === 'append' ? old : undefined)
          : jsonSidecar(captions, { image: basename(picture.path), old, output, ifExists })
      if (text !== old) await writeAtomic(output, async (file) => await file.writeFile(text))
    },
    async end(complete) {
      if (complete && ifExists !== 'skip') await rm(mark, { force: true })
    },
  }
}

/** The sidecar of each picture. All pictures of its folder count in that, also those not asked for. */
async function outputsOf(
  pictures: readonly Picture[],
  extension: string,
  out: string | undefined,
): Promise<string[]> {
  const names = new Map<string, Map<string, string>>()
  for (const { path } of pictures) {
    const folder = dirname(path)
    const known = names.get(folder)
    if (known?.has(basename(path))) continue
    const there = (await readdir(folder).catch(() => [])).filter(
      (name) => isImageName(name) && !name.startsWith('.'),
    )
    names.set(folder, sidecarNames([...(known?.keys() ?? there), basename(path)], extension))
  }
  return pictures.map(({ path, name }) => {
    const sidecar = names.get(dirname(path))?.get(basename(path)) ?? ''
    return out === undefined ? join(dirname(path), sidecar) : join(out, dirname(name), sidecar)
  })
}

function refuseShared(pictures: readonly Picture[], outputs: readonly string[]): void {
  const owners = new Map<string, string>()
  for (const [i, output] of outputs.entries()) {
    const path = pictures[i]?.path ?? ''
    const other = owners.get(resolve(output))
    if (other !== undefined)
      throw new DataError(
        `caption: the captions of ${other} and of ${path} would both be ${output}. Caption them one after ` +
          'the other with different --out',
      )
    owners.set(resolve(output), path)
  }
}

function remarksOn(
  pictures: readonly Picture[],
  outputs: readonly string[],
  extension: string,
): string[] {
  const whole = pictures.flatMap(({ path }, i) =>
    isImageName(path) && basename(outputs[i] ?? '') === basename(path) + extension ? [path] : [],
  )
  const [first] = whole
  if (first === undefined) return []
  return [
    `${whole.length} pictures share their name but for the extension with another, and keep it whole: ` +
      `${basename(first)}${extension}`,
  ]
}

interface FolderState {
  readonly names: ReadonlySet<string>
  /** Why nothing can be written there. */
  readonly refusal?: string
}

async function folderState(folder: string): Promise<FolderState> {
  const names = new Set(await readdir(folder).catch(() => []))
  try {
    await access(await nearestExisting(folder), constants.W_OK)
    return { names }
  } catch (error) {
    const reason = systemReason(error) ?? String(error)
    return { names, refusal: `${folder} cannot be written to: ${reason}. --out names one` }
  }
}

async function nearestExisting(folder: string): Promise<string> {
  if ((await timeOf(folder)) !== undefined || dirname(folder) === folder) return folder
  return nearestExisting(dirname(folder))
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true })
  } catch (error) {
    throw fileError(`making the folder ${folder}`, error)
  }
}

async function readOld(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw fileError(`reading ${path}`, error)
  }
}

/** When a file was last written, milliseconds; undefined when there is none. */
async function timeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  )
}
