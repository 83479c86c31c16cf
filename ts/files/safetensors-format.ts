/**
 * The header of the files that captioneer writes: tensor entries to bytes, and where the checksum stands.
 * The checksum is the SHA-256 of the whole file with its own digits as zeros; it is the first metadata
 * key, so that the digits have a fixed place and can be written last.
 */
import { CheckpointError, shapeText } from '../errors.js'
import { dtypeBytes, elementCount, type FileDtype, maxHeaderBytes } from './safetensors-header.js'

/** A tensor to write; `data` holds its elements in row-major order, little-endian. */
export interface TensorEntry {
  readonly name: string
  readonly dtype: FileDtype
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

/** Metadata key of the checksum. A program that rewrites a file must leave it out. */
export const checksumKey = 'captioneer.sha256'

const opening = `{"__metadata__":{"${checksumKey}":"`
const digits = 64

/** Position of the checksum's 64 hexadecimal digits, bytes from the start of the file. */
export const checksumAt = 8 + opening.length

/**
 * The first bytes of a file: length and header, padded with spaces so that the data is 8-byte aligned.
 * The digits of the checksum are zeros, to be filled in at `checksumAt`.
 *
 * @throws CheckpointError for a repeated name, data that does not fit its shape, or a header too large
 */
export function formatHeader(
  entries: readonly TensorEntry[],
  metadata: ReadonlyMap<string, string>,
  path: string,
): Buffer {
  const names = new Set(['__metadata__'])
  let text = `${opening}${'0'.repeat(digits)}"`
  for (const [key, value] of metadata) {
    if (key !== checksumKey) text += `,${JSON.stringify(key)}:${JSON.stringify(value)}`
  }
  text += '}'
  let end = 0
  for (const { name, dtype, shape, data } of entries) {
    const fault = names.has(name) ? 'the name is taken' : sizeFault(dtype, shape, data.byteLength)
    if (fault !== undefined) throw new CheckpointError(`saving ${path}: tensor "${name}": ${fault}`)
    names.add(name)
    const begin = end
    end += data.byteLength
    text += `,${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`
  }
  text += '}'
  const unpadded = Buffer.byteLength(text)
  const headerBytes = Math.ceil(unpadded / 8) * 8
  if (headerBytes > maxHeaderBytes) {
    throw new CheckpointError(
      `saving ${path}: expected a header of at most ${maxHeaderBytes} bytes, received ${headerBytes}`,
    )
  }
  const header = Buffer.alloc(8 + headerBytes, ' ')
  header.writeBigUInt64LE(BigInt(headerBytes))
  header.write(text, 8)
  return header
}

function sizeFault(dtype: FileDtype, shape: readonly number[], bytes: number): string | undefined {
  const needed = (elementCount(shape) ?? Number.NaN) * dtypeBytes[dtype]
  if (needed === bytes) return undefined
  return `expected ${needed} bytes for ${dtype} ${shapeText(shape)}, received ${bytes}`
}

/** The checksum digits in a header (without its length), undefined when it is not of ours. */
export function carriedChecksum(header: Buffer): string | undefined {
  if (header.toString('latin1', 0, opening.length) !== opening) return undefined
  return header.toString('latin1', opening.length, opening.length + digits)
}

/** A copy of a header as it was hashed: the digits replaced by zeros. */
export function withoutChecksum(header: Buffer): Buffer {
  return Buffer.from(header).fill('0', opening.length, opening.length + digits)
}
