/**
 * Reads and writes safetensors files. Own files carry a SHA-256 of all their bytes, so that damage is
 * found on reading; files of other programs are read without one. The header's rules live in
 * safetensors-header.ts, the header of own files in safetensors-format.ts.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { CheckpointError } from '../errors.js'
import { writeAtomic } from './atomic.js'
import { toFloat32 } from './float32.js'
import { allocate, chunkBytes, readFully } from './read-bytes.js'
import { findTensor } from './require-tensors.js'
import {
  carriedChecksum,
  checksumAt,
  checksumKey,
  formatHeader,
  type TensorEntry,
  withoutChecksum,
} from './safetensors-format.js'
import {
  dtypeBytes,
  type FileTensor,
  maxHeaderBytes,
  parseHeader,
  refusal,
} from './safetensors-header.js'
import { fileError } from './system-error.js'

/** A safetensors file in memory. Keys are as in the file; the data is one buffer that the views share. */
export interface SafetensorsFile {
  readonly path: string
  readonly metadata: ReadonlyMap<string, string>
  readonly tensors: ReadonlyMap<string, FileTensor>
  /** True when the file carried a SHA-256 and it was right. */
  readonly verified: boolean
  /** The bytes of a tensor, a view. @throws CheckpointError when the file has no tensor of that name */
  bytes(name: string): Uint8Array
  /**
   * A floating-point tensor as float32, converted from F64, F16 or BF16; for F32 a view where alignment
   * allows. @throws CheckpointError when there is no such tensor, or its dtype is not one of these
   */
  float32(name: string): Float32Array
}

/**
 * Reads a whole file into memory, after its header has been checked.
 *
 * @throws CheckpointError naming the file and the key, for any broken rule, a wrong checksum, or a file
 *   that cannot be read; OutOfMemoryError when the data does not fit into memory
 */
export async function readSafetensors(path: string): Promise<SafetensorsFile> {
  try {
    if (!(await stat(path)).isFile()) throw refusal(path, 'not a regular file')
    const file = await open(path, 'r')
    try {
      return await readOpen(file, path)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw fileError(`reading ${path}`, error)
  }
}

/**
 * Writes a file through a temporary one, so that the old or the new file is there, never a part. Tensors
 * are ordered by element size, so that each is aligned; they are hashed and written in pieces, not copied.
 *
 * @param entries   must not change until the promise settles
 * @param metadata  e.g. `format` = `pt`, which some readers ask for
 * @throws CheckpointError for a repeated name, data that does not fit the shape, or a failed write
 */
export async function writeSafetensors(
  path: string,
  entries: Iterable<TensorEntry>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Promise<void> {
  const ordered = [...entries].sort((a, b) => dtypeBytes[b.dtype] - dtypeBytes[a.dtype])
  const header = formatHeader(ordered, metadata, path)
  await writeAtomic(path, async (file) => {
    const hash = createHash('sha256').update(header)
    await file.writeFile(header)
    for (const { data } of ordered) {
      for (let begin = 0; begin < data.byteLength; begin += chunkBytes) {
        const chunk = data.subarray(begin, begin + chunkBytes)
        hash.update(chunk)
        await file.writeFile(chunk)
      }
    }
    await file.write(Buffer.from(hash.digest('hex')), 0, 64, checksumAt)
  })
}

async function readOpen(file: FileHandle, path: string): Promise<SafetensorsFile> {
  const { size } = await file.stat()
  if (size < 8) throw refusal(path, `expected at least 8 bytes, received ${size}`)
  const ended = () => refusal(path, 'it ended while it was read')
  const length = Buffer.alloc(8)
  await readFully(file, length, 0, ended)
  const headerBytes = Number(length.readBigUInt64LE())
  if (headerBytes > maxHeaderBytes || 8 + headerBytes > size) {
    throw refusal(
      path,
      `the header claims ${headerBytes} bytes of a file of ${size} (at most ${maxHeaderBytes})`,
    )
  }
  const header = Buffer.alloc(headerBytes)
  await readFully(file, header, 8, ended)
  const { metadata, tensors } = parseHeader(header, size - 8 - headerBytes, path)
  const data = allocate(size - 8 - headerBytes, path)
  const carried = carriedChecksum(header)
  const hash = carried === undefined ? undefined : createHash('sha256').update(length)
  hash?.update(withoutChecksum(header))
  await readFully(file, data, 8 + headerBytes, ended, (chunk) => hash?.update(chunk))
  if (carried !== undefined) {
    metadata.delete(checksumKey)
    if (hash?.digest('hex') !== carried) {
      throw refusal(path, `its SHA-256 is not the one it carries as "${checksumKey}"`)
    }
  }
  return view(path, metadata, tensors, data, carried !== undefined)
}

function view(
  path: string,
  metadata: ReadonlyMap<string, string>,
  tensors: ReadonlyMap<string, FileTensor>,
  data: Uint8Array,
  verified: boolean,
): SafetensorsFile {
  const bytes = (name: string) => {
    const { begin, end } = findTensor({ path, tensors }, name)
    return data.subarray(begin, end)
  }
  const float32 = (name: string) => {
    const { dtype } = findTensor({ path, tensors }, name)
    const values = toFloat32(dtype, bytes(name))
    if (values === undefined) {
      throw new CheckpointError(
        `reading ${path}: expected tensor "${name}" to be F32, F64, F16 or BF16, received ${dtype}`,
      )
    }
    return values
  }
  return { path, metadata, tensors, verified, bytes, float32 }
}
