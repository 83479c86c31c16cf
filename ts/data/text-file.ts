/** Text and JSON from files of unknown origin: encodings told apart, damage counted, not thrown. */
import { open, readFile, stat } from 'node:fs/promises'
import type { Problems } from './problems.js'

/** Larger ones do not fit into a JavaScript string. */
const MAX_BYTES = 500 * 1024 ** 2

/**
 * A file's text: UTF-8 with or without a byte order mark, or UTF-16 with one. Lines that are not
 * UTF-8 are read as Windows-1252, which has a character for every byte, and counted. undefined, and counted,
 * when the file cannot be read.
 */
export async function readText(path: string, problems: Problems): Promise<string | undefined> {
  let bytes: Uint8Array
  try {
    const { size } = await stat(path)
    if (size > MAX_BYTES) {
      problems.add('unreadable files', `${path}: ${size} bytes, more than 500 MiB; split it`)
      return undefined
    }
    bytes = await readFile(path)
  } catch (error) {
    problems.add('unreadable files', `${path}: ${(error as Error).message}`)
    return undefined
  }
  const encoding = encodingOf(bytes)
  if (encoding !== 'utf-8') return new TextDecoder(encoding).decode(bytes)
  return decodeUtf8(bytes) ?? decodeLines(bytes, path, problems)
}

/** A file's JSON value; undefined, and counted, when it is not JSON. */
export async function readJson(path: string, problems: Problems): Promise<unknown> {
  const text = await readText(path, problems)
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch (error) {
    problems.add('unreadable files', `${path}: ${(error as Error).message}`)
    return undefined
  }
}

/** The first 64 KiB as text, for recognising a layout; empty when the file cannot be read. */
export async function readHead(path: string): Promise<string> {
  const file = await open(path).catch(() => undefined)
  if (!file) return ''
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(65536), 0, 65536, 0)
    return new TextDecoder(encodingOf(buffer)).decode(buffer.subarray(0, bytesRead))
  } catch {
    return ''
  } finally {
    await file.close()
  }
}

function encodingOf(bytes: Uint8Array): 'utf-8' | 'utf-16le' | 'utf-16be' {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le'
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be'
  return 'utf-8'
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function decodeLines(bytes: Uint8Array, path: string, problems: Problems): string {
  const lines: string[] = []
  for (let start = 0; start <= bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start)
    const end = newline < 0 ? bytes.length : newline
    const line = bytes.subarray(start, end)
    let text = decodeUtf8(line)
    if (text === undefined) {
      text = new TextDecoder('windows-1252').decode(line)
      problems.add('wrong encoding', `${path}:${lines.length + 1}: ${text.trim()}`)
    }
    lines.push(text)
    start = end + 1
  }
  return lines.join('\n')
}
