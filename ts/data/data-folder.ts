/**
 * The folder that a data set lies in, walked once: which files might hold captions, and where the
 * image of a given name is. What the files mean is the readers' business.
 */
import type { Dirent, Stats } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, extname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { DataError } from '../errors.js'
import { IMAGE_EXTENSIONS } from './image.js'

export interface DataFolder {
  readonly root: string
  /** The one captions file to read, where the user named one. */
  readonly named: string | undefined
  /** Folders with the names of their files, sorted; the usual image folders come first. */
  readonly directories: ReadonlyMap<string, readonly string[]>
  /**
   * The image that a row calls `name`: a file name, with or without its extension, or a path.
   * Looked for beside the captions file, then in folders called `folder`, then in all others.
   */
  findImage(name: string, from: { beside: string; folder?: string }): Promise<string | undefined>
  /** As `directories`, of the folder that the images are in. */
  readonly imageDirectories: ReadonlyMap<string, readonly string[]>
  /** One name for one file, however many symbolic links lead to it. */
  canonical(path: string): string
}

/** As the well-known data sets call them; `train2017`, `val2014` and the like come after these. */
const IMAGE_FOLDERS = [
  'images',
  'flicker8k_dataset',
  'flickr8k_dataset',
  'flickr8k_images',
  'flickr30k_images',
  'flickr30k-images',
  'imgs',
  'photos',
]
const MAX_DEPTH = 3
const MAX_FOLDERS = 10_000

export function isImageName(name: string): boolean {
  return IMAGE_EXTENSIONS.includes(extname(name).toLowerCase())
}

/**
 * Walks the folder at `path`, or around the captions file at `path`, three levels deep. Hidden
 * folders are left out; links are followed, each folder once.
 *
 * @param options.captionsFile  captions file to read instead of those found, absolute or from `path`
 * @param options.imagesFolder  where the images are, if not around the captions
 * @throws DataError when a path does not exist, or holds more than 10,000 folders
 */
export async function openDataFolder(
  path: string,
  options: { readonly captionsFile?: string; readonly imagesFolder?: string },
): Promise<DataFolder> {
  const info = await statOf(path)
  let root = resolve(path)
  let named = options.captionsFile === undefined ? undefined : resolve(root, options.captionsFile)
  if (named !== undefined) await statOf(named)
  if (!info.isDirectory()) {
    named = root
    // COCO keeps its captions in annotations/, beside the folders of images.
    root = basename(dirname(named)) === 'annotations' ? dirname(dirname(named)) : dirname(named)
  }
  const walked = await walk(root)
  const images =
    options.imagesFolder === undefined ? walked : await walk(resolve(root, options.imagesFolder))

  const index = new Map<string, string[]>()
  for (const [directory, files] of images.directories) {
    for (const file of files) {
      const paths = index.get(file)
      if (paths) paths.push(join(directory, file))
      else index.set(file, [join(directory, file)])
    }
  }
  const lookUp = (
    wanted: string,
    from: { beside: string; folder?: string },
  ): string | undefined => {
    const paths = (index.get(basename(wanted)) ?? []).filter((p) => p.endsWith(sep + wanted))
    if (paths.length < 2) return paths[0]
    const beside = resolve(from.beside, wanted)
    const inFolder = (p: string) =>
      from.folder !== undefined && basename(p.slice(0, -wanted.length - 1)) === from.folder
    return paths.find((p) => p === beside) ?? paths.find(inFolder) ?? paths[0]
  }
  return {
    root,
    named,
    directories: walked.directories,
    async findImage(name, from) {
      const wanted = name
        .replaceAll('\\', '/')
        .split('/')
        .filter((part) => part && part !== '.')
        .join(sep)
      for (const extension of ['', ...EXTENSIONS_AS_WRITTEN]) {
        const found = lookUp(wanted + extension, from)
        if (found) return found
      }
      const outside =
        isAbsolute(name) || wanted.includes(sep) ? resolve(from.beside, name) : undefined
      return outside && (await isFile(outside)) ? realpath(outside) : undefined
    },
    imageDirectories: images.directories,
    canonical: (file) => {
      const directory = dirname(file)
      return images.links.get(file) ?? join(images.real.get(directory) ?? directory, basename(file))
    },
  }
}

const EXTENSIONS_AS_WRITTEN = IMAGE_EXTENSIONS.flatMap((e) => [e, e.toUpperCase()])

/** `path` as ids and messages show it: from `root`, with forward slashes. */
export function pathFrom(root: string, path: string): string {
  return relative(root, path).replaceAll(sep, '/')
}

interface Walk {
  readonly directories: Map<string, readonly string[]>
  /** Where linked files really are. */
  readonly links: Map<string, string>
  /** Where each folder really is. */
  readonly real: Map<string, string>
}

async function walk(root: string): Promise<Walk> {
  const directories = new Map<string, readonly string[]>()
  const links = new Map<string, string>()
  const real = new Map<string, string>()
  const seen = new Set<string>()
  const visit = async (directory: string, depth: number): Promise<void> => {
    const target = await realpath(directory).catch((cause) => unreadable(directory, cause))
    if (seen.has(target)) return
    seen.add(target)
    real.set(directory, target)
    if (seen.size > MAX_FOLDERS) {
      throw new DataError(
        `reading data from "${root}": more than ${MAX_FOLDERS} folders; give the folder of one data set`,
      )
    }
    const files: string[] = []
    const folders: string[] = []
    for (const entry of await entriesOf(directory, depth)) {
      const path = join(directory, entry.name)
      const kind = entry.isSymbolicLink() ? await stat(path).catch(() => undefined) : entry
      if (kind?.isDirectory()) folders.push(path)
      else if (kind?.isFile()) files.push(entry.name)
      if (kind !== entry && kind?.isFile()) links.set(path, await realpath(path))
    }
    directories.set(directory, files.sort())
    if (depth === MAX_DEPTH) return
    folders.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
    for (const folder of folders) await visit(folder, depth + 1)
  }
  await visit(root, 0)
  return { directories, links, real }
}

async function entriesOf(directory: string, depth: number): Promise<Dirent[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true })
    // macOS leaves ._photo.jpg and __MACOSX/ in archives: named like images, but none.
    return entries.filter(({ name }) => !name.startsWith('.') && name !== '__MACOSX')
  } catch (cause) {
    if (depth > 0) return []
    return unreadable(directory, cause)
  }
}

function statOf(path: string): Promise<Stats> {
  return stat(path).catch((cause: NodeJS.ErrnoException) => {
    const reason = cause.code === 'ENOENT' ? 'no such file or folder' : cause.message
    throw new DataError(`reading data from "${path}": ${reason}`, { cause })
  })
}

function unreadable(directory: string, cause: unknown): never {
  throw new DataError(`reading the folder "${directory}": ${(cause as Error).message}`, { cause })
}

function rank(directory: string): number {
  const name = basename(directory).toLowerCase()
  const at = IMAGE_FOLDERS.indexOf(name)
  if (at >= 0) return at
  return /^(train|val|test)\d*$/.test(name) ? IMAGE_FOLDERS.length : IMAGE_FOLDERS.length + 1
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  )
}
