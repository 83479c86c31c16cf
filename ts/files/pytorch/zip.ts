/**
 * The entries of a zip file, stored or deflated, zip64 included. Names are keys, never paths. All bounds are checked
 * before memory is taken; what the entries mean is left to checkpoint.ts.
 * Source of the format: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3.
 */
import type { FileHandle } from 'node:fs/promises'
import { promisify } from 'node:util'
import { crc32, inflateRaw } from 'node:zlib'
import { allocate, readFully } from '../read-bytes.js'
import { damaged } from './refusal.js'

interface Entry {
  readonly method: number
  readonly crc: number
  /** Bytes in the file, and once expanded. */
  readonly stored: number
  readonly size: number
  /** Of the local header, bytes from the start of the file. */
  readonly offset: number
}

/** A zip file whose directory has been checked. */
export interface ZipFile {
  /** Size of each entry once expanded, bytes. */
  readonly sizes: ReadonlyMap<string, number>
  /** The content of an entry. @throws CheckpointError when its bytes are not those that it was written with */
  read(name: string): Promise<Uint8Array>
}

const inflate = promisify(inflateRaw)
const maxDirectoryBytes = 1 << 26
/** Most bytes that deflated entries may expand to, together. */
const maxExpandedBytes = 2 ** 32
const methods = { stored: 0, deflated: 8 }

/** @throws CheckpointError for a broken rule, an encrypted entry, or a way of compression that is not read */
export async function openZip(file: FileHandle, path: string): Promise<ZipFile> {
  const { size } = await file.stat()
  const read = async (position: number, bytes: number) => {
    if (position < 0 || bytes < 0 || position + bytes > size)
      throw damaged(path, `its zip directory points outside of the file of ${size} bytes`)
    const target = allocate(bytes, path)
    await readFully(file, target, position, () => damaged(path, 'it ended while it was read'))
    return Buffer.from(target.buffer)
  }
  const { start, bytes, count } = await findDirectory(read, size, path)
  if (bytes > maxDirectoryBytes) throw damaged(path, `its zip directory has ${bytes} bytes`)
  const entries = parseDirectory(await read(start, bytes), count, path)
  checkSizes(entries, start, path)
  return {
    sizes: new Map([...entries].map(([name, entry]) => [name, entry.size])),
    read: async (name) => {
      const entry = entries.get(name)
      if (entry === undefined) throw damaged(path, `its part "${name}" is missing`)
      const header = await read(entry.offset, 30)
      if (header.readUInt32LE(0) !== 0x04034b50)
        throw damaged(path, `its part "${name}" does not begin with a local header`)
      const begin = entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28)
      if (begin + entry.stored > start) throw damaged(path, `its part "${name}" is cut off`)
      const stored = await read(begin, entry.stored)
      const content = entry.method === methods.stored ? stored : await expand(stored, entry.size)
      if (content?.length !== entry.size || crc32(content) !== entry.crc)
        throw damaged(path, `the CRC-32 of its part "${name}" is wrong`)
      return new Uint8Array(content.buffer, content.byteOffset, content.length)
    },
  }
}

type Read = (position: number, bytes: number) => Promise<Buffer>

/** Where the central directory stands: from the end record, or from its zip64 form in front of it. */
async function findDirectory(read: Read, size: number, path: string) {
  const tailBytes = Math.min(size, 22 + 0xffff)
  const tail = await read(size - tailBytes, tailBytes)
  let at = tail.length - 22
  while (at >= 0 && !(tail.readUInt32LE(at) === 0x06054b50 && isWhole(tail, at))) at--
  if (at < 0) throw damaged(path, 'it has no zip directory at its end')
  const end = size - tailBytes + at
  const record = {
    count: tail.readUInt16LE(at + 10),
    bytes: tail.readUInt32LE(at + 12),
    start: tail.readUInt32LE(at + 16),
  }
  const locator = end >= 20 ? await read(end - 20, 20) : Buffer.alloc(20)
  if (locator.readUInt32LE(0) !== 0x07064b50) return record
  const large = await read(whole(locator, 8, path), 56)
  if (large.readUInt32LE(0) !== 0x06064b50) throw damaged(path, 'its zip64 directory is missing')
  return {
    count: whole(large, 32, path),
    bytes: whole(large, 40, path),
    start: whole(large, 48, path),
  }
}

/** Whether the comment of an end record reaches to the end of the file. */
function isWhole(tail: Buffer, at: number): boolean {
  return at + 22 + tail.readUInt16LE(at + 20) === tail.length
}

function parseDirectory(bytes: Buffer, count: number, path: string): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  let at = 0
  while (at + 46 <= bytes.length && bytes.readUInt32LE(at) === 0x02014b50) {
    const nameBytes = bytes.readUInt16LE(at + 28)
    const extraBytes = bytes.readUInt16LE(at + 30)
    const next = at + 46 + nameBytes + extraBytes + bytes.readUInt16LE(at + 32)
    if (next > bytes.length) break
    const name = bytes.toString('utf8', at + 46, at + 46 + nameBytes)
    const extra = bytes.subarray(at + 46 + nameBytes, at + 46 + nameBytes + extraBytes)
    const method = bytes.readUInt16LE(at + 10)
    if ((bytes.readUInt16LE(at + 8) & 1) !== 0) throw damaged(path, `"${name}" is encrypted`)
    if (method !== methods.stored && method !== methods.deflated)
      throw damaged(path, `"${name}" is compressed by method ${method}, not stored or deflated`)
    if (entries.has(name)) throw damaged(path, `it holds "${name}" twice`)
    const wide = wideFields(extra, path)
    const field = (place: number) => {
      const value = bytes.readUInt32LE(at + place)
      return value === 0xffffffff ? wide() : value
    }
    const size = field(24)
    const stored = field(20)
    entries.set(name, { method, crc: bytes.readUInt32LE(at + 16), stored, size, offset: field(42) })
    at = next
  }
  if (at !== bytes.length || entries.size !== count)
    throw damaged(path, `its zip directory names ${entries.size} parts of ${count}`)
  return entries
}

/** The 64-bit values of an entry's zip64 field, one a call. */
function wideFields(extra: Buffer, path: string): () => number {
  let at = 0
  while (at + 4 <= extra.length && extra.readUInt16LE(at) !== 1)
    at += 4 + extra.readUInt16LE(at + 2)
  const end = at + 4 <= extra.length ? at + 4 + extra.readUInt16LE(at + 2) : 0
  at += 4
  return () => {
    if (at + 8 > Math.min(end, extra.length)) throw damaged(path, 'a zip64 size is missing')
    at += 8
    return whole(extra, at - 8, path)
  }
}

// Parts that lie over each other would let a small file fill any memory.
function checkSizes(entries: ReadonlyMap<string, Entry>, room: number, path: string): void {
  let stored = 0
  let expanded = 0
  for (const [name, entry] of entries) {
    stored += entry.stored
    if (entry.method === methods.deflated) expanded += entry.size
    else if (entry.size !== entry.stored) throw damaged(path, `the two sizes of "${name}" differ`)
  }
  if (stored > room) throw damaged(path, `its parts claim ${stored} bytes of ${room}`)
  if (expanded > maxExpandedBytes)
    throw damaged(
      path,
      `its parts expand to ${expanded} bytes, at most ${maxExpandedBytes} are read`,
    )
}

function whole(bytes: Buffer, at: number, path: string): number {
  const value = Number(bytes.readBigUInt64LE(at))
  if (!Number.isSafeInteger(value)) throw damaged(path, `a size of ${value} bytes`)
  return value
}

// Undefined when the bytes are not deflated ones, or expand to more than they should.
async function expand(stored: Buffer, size: number): Promise<Buffer | undefined> {
  return inflate(stored, { maxOutputLength: Math.max(1, size) }).catch(() => undefined)
}
