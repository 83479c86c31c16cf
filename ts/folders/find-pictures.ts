/** The pictures that the words of a command line stand for: files, and the pictures of folders. Reads names only. */
import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'
import { isImageName } from '../data/data-folder.js'
import { IMAGE_EXTENSIONS } from '../data/image.js'
import { DataError } from '../errors.js'
import { systemReason } from '../files/system-error.js'
import { naturalOrder } from './natural-order.js'

export interface Picture {
  /** As given, or below the folder as it was given. */
  readonly path: string
  /** From the folder that was given; of a file that was given its name. */
  readonly name: string
}

export interface FoundPictures {
  /** In the order of the words, those of a folder in natural order; none twice. */
  readonly pictures: readonly Picture[]
  /** Other files of the folders: how many of each extension. */
  readonly others: ReadonlyMap<string, number>
  /** What could not be looked into, and why; links to folders among them. */
  readonly passedOver: readonly { readonly path: string; readonly reason: string }[]
}

export interface FindOptions {
  /** Folders within folders too. */
  readonly recursive: boolean
  /** Whether a folder without pictures is none to complain about. */
  readonly mayBeEmpty?: boolean
}

/**
 * A file stands for itself, whether it is there or not: what is wrong with it shows when it is read. A folder stands
 * for its pictures by extension. Hidden files and folders are not looked at, and links to folders not followed, so
 * that no loop of them has an effect.
 *
 * @throws DataError when a folder that was given cannot be read, or holds no pictures
 */
export async function findPictures(
  words: readonly string[],
  { recursive, mayBeEmpty = false }: FindOptions,
): Promise<FoundPictures> {
  const pictures = new Map<string, Picture>()
  const others = new Map<string, number>()
  const passedOver: { path: string; reason: string }[] = []
  const add = (picture: Picture) => {
    const key = resolve(picture.path)
    if (!pictures.has(key)) pictures.set(key, picture)
  }

  const walk = async (
    folder: string,
    name: string,
    entries: readonly Dirent[],
  ): Promise<number> => {
    let found = 0
    const ordered = entries
      .filter((entry) => !entry.name.startsWith('.') && entry.name !== '__MACOSX')
      .sort((a, b) => naturalOrder(a.name, b.name))
    for (const entry of ordered) {
      const path = join(folder, entry.name)
      const kind = entry.isSymbolicLink() ? await stat(path).catch(() => entry) : entry
      if (kind.isDirectory()) {
        if (!recursive) continue
        if (kind !== entry) {
          passedOver.push({ path, reason: 'a link to a folder, which is not followed' })
          continue
        }
        const inner = await list(path).catch((error: DataError) => {
          passedOver.push({ path, reason: systemReason(error.cause) ?? error.message })
          return []
        })
        found += await walk(path, join(name, entry.name), inner)
      } else if (isImageName(entry.name)) {
        found++
        add({ path, name: join(name, entry.name) })
      } else {
        const extension = extname(entry.name).toLowerCase()
        others.set(extension, (others.get(extension) ?? 0) + 1)
      }
    }
    return found
  }

  for (const word of words) {
    const facts = await stat(word).catch(() => undefined)
    if (!facts?.isDirectory()) add({ path: word, name: basename(word) })
    else if ((await walk(word, '', await list(word))) === 0 && !mayBeEmpty) {
      const deeper = recursive ? '' : ' Its subfolders are read with --recursive.'
      throw new DataError(
        `caption: the folder ${word} holds no images (${IMAGE_EXTENSIONS.join(', ')}).${deeper}`,
      )
    }
  }
  return { pictures: [...pictures.values()], others, passedOver }
}

async function list(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (cause) {
    throw new DataError(
      `caption: the folder ${folder} cannot be read: ${systemReason(cause) ?? String(cause)}`,
      { cause },
    )
  }
}
