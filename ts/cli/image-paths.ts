/** The images that a word of a command line stands for: a file, or the images of a folder. */
import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { IMAGE_EXTENSIONS } from '../data/image.js'
import { DataError } from '../errors.js'
import { systemReason } from '../files/system-error.js'

/**
 * A file stands for itself, whether it is there or not: what is wrong with it shows when it is read. A folder
 * stands for its images by extension, in the order of their names; hidden ones and links to folders are passed over.
 *
 * @throws DataError when a folder cannot be read or holds no images
 */
export async function imagePaths(path: string, recursive: boolean): Promise<string[]> {
  const facts = await stat(path).catch(() => undefined)
  if (!facts?.isDirectory()) return [path]
  const images = await imagesIn(path, recursive)
  if (images.length > 0) return images
  const deeper = recursive ? '' : ' Its subfolders are read with --recursive.'
  throw new DataError(
    `caption: the folder ${path} holds no images (${IMAGE_EXTENSIONS.join(', ')}).${deeper}`,
  )
}

async function imagesIn(folder: string, recursive: boolean): Promise<string[]> {
  const entries = (await list(folder)).filter(({ name }) => !name.startsWith('.'))
  // By code unit, so that the order is the same in every language.
  entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  const found = entries.map(async (entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return recursive ? imagesIn(path, true) : []
    return IMAGE_EXTENSIONS.includes(extname(entry.name).toLowerCase()) ? [path] : []
  })
  return (await Promise.all(found)).flat()
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
