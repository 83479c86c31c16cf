/** HTML and Markdown files: read, changed at single places, written; every other byte stays as it is. */
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { ArgumentError, DataError } from '../errors.js'
import { writeAtomic } from '../files/atomic.js'
import { fileError } from '../files/system-error.js'
import { naturalOrder } from '../folders/natural-order.js'
import type { DocumentImages } from './found-image.js'
import { htmlImages } from './html-images.js'
import { markdownImages } from './markdown-images.js'

const readers: Readonly<Record<string, (text: string) => DocumentImages>> = {
  '.html': htmlImages,
  '.htm': htmlImages,
  '.xhtml': htmlImages,
  '.md': markdownImages,
  '.markdown': markdownImages,
}

export interface Document extends DocumentImages {
  readonly path: string
  readonly text: string
  readonly encoding: 'utf8' | 'latin1'
}

export interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/**
 * The documents that a word of a command line stands for: a file, or those of a folder and its folders in natural
 * order. Hidden folders, node_modules and links are left out.
 *
 * @throws ArgumentError for a file that is neither; DataError when it cannot be read or holds none
 */
export async function documentPaths(word: string): Promise<string[]> {
  const kinds = Object.keys(readers).join(', ')
  const facts = await stat(word).catch((error: unknown) => {
    throw unreadable(word, error)
  })
  if (facts.isDirectory()) {
    const found = await documentsIn(word)
    if (found.length > 0) return found
    throw new DataError(`alt: the folder ${word} holds no documents (${kinds})`)
  }
  if (extname(word).toLowerCase() in readers) return [word]
  throw new ArgumentError(`alt: ${word} is neither HTML nor Markdown: expected one of ${kinds}`)
}

async function documentsIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw unreadable(folder, error)
  })
  const found: string[] = []
  for (const entry of entries.sort((a, b) => naturalOrder(a.name, b.name))) {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) found.push(...(await documentsIn(path)))
    else if (entry.isFile() && extname(entry.name).toLowerCase() in readers) found.push(path)
  }
  return found
}

/** @throws DataError when it cannot be read, or is in an encoding that is not told apart here */
export async function readDocument(path: string): Promise<Document> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw unreadable(path, error)
  })
  if (/^(\xff\xfe|\xfe\xff)/.test(bytes.subarray(0, 2).toString('latin1')))
    throw new DataError(`alt: ${path} is in UTF-16; save it as UTF-8`)
  const { text, encoding } = decode(bytes)
  const read = readers[extname(path).toLowerCase()] ?? htmlImages
  return { path, text, encoding, ...read(text) }
}

/** What is not UTF-8 is taken byte for byte: tags and addresses are ASCII in all encodings that are left. */
function decode(bytes: Uint8Array): Pick<Document, 'text' | 'encoding'> {
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    return { text: decoder.decode(bytes), encoding: 'utf8' }
  } catch {
    return { text: Buffer.from(bytes).toString('latin1'), encoding: 'latin1' }
  }
}

/** The text with its edits, which do not overlap. */
export function edited({ text, encoding }: Document, edits: readonly Edit[]): string {
  let at = 0
  let result = ''
  for (const edit of [...edits].sort((a, b) => a.start - b.start)) {
    result += text.slice(at, edit.start)
    result += encoding === 'utf8' ? edit.text : inAscii(edit.text)
    at = edit.end
  }
  return result + text.slice(at)
}

/**
 * Writes a document, whole or not at all; its permissions stay, and a link to it stays a link.
 * @throws DataError when it has changed since it was read; CheckpointError when the system refuses
 */
export async function writeDocument(document: Document, text: string): Promise<void> {
  const { path, encoding } = document
  try {
    const target = await realpath(path)
    const [now, { mode }] = [await readFile(target), await stat(target)]
    if (!now.equals(Buffer.from(document.text, encoding)))
      throw new DataError(`alt: ${path} was changed meanwhile, and is left as it is. Start again`)
    await writeAtomic(target, async (file) => {
      await file.chmod(mode & 0o7777)
      await file.writeFile(text, encoding)
    })
  } catch (error) {
    throw fileError(`saving ${path}`, error)
  }
}

/** Letters beyond ASCII as references, which HTML and Markdown read in every encoding. */
function inAscii(text: string): string {
  return [...text]
    .map((letter) => (letter < '\x80' ? letter : `&#${letter.codePointAt(0)};`))
    .join('')
}

function unreadable(path: string, error: unknown): DataError {
  const { message } = fileError(`reading ${path}`, error) as Error
  return new DataError(`alt: ${message}`, { cause: error })
}
