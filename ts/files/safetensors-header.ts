/**
 * The header of a safetensors file: bytes to checked entries and back. Every rule of the format is enforced
 * here, before a byte of data is read; files are opened in safetensors.ts.
 * Source of the format: https://github.com/huggingface/safetensors (README, "Format").
 */
import { CheckpointError, printable, shapeText } from '../errors.js'

/** Bytes of one element, by dtype. */
export const dtypeBytes = {
  F64: 8,
  I64: 8,
  U64: 8,
  C64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
} as const

/** Element types as safetensors files name them. */
export type FileDtype = keyof typeof dtypeBytes

/** One tensor of a file; `begin` and `end` are byte offsets into the data section. */
export interface FileTensor {
  readonly dtype: FileDtype
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

/** What a header holds. */
export interface FileHeader {
  readonly metadata: Map<string, string>
  readonly tensors: Map<string, FileTensor>
}

/** Largest header that is read or written, bytes. */
export const maxHeaderBytes = 100_000_000

/**
 * Parses and checks a header: JSON without duplicate keys, known dtypes, sizes that fit the shapes, data
 * without holes or overlap from 0 to `dataBytes`. A tensor of no elements stands between two others.
 *
 * @param bytes      the header, without the eight bytes of its length
 * @param dataBytes  length of the data section
 * @param path       the file, for messages
 * @throws CheckpointError naming the file and the key
 */
export function parseHeader(bytes: Uint8Array, dataBytes: number, path: string): FileHeader {
  const entries = parseEntries(bytes, path)
  const metadata = new Map<string, string>()
  const tensors = new Map<string, FileTensor>()
  for (const [name, value] of entries) {
    if (name === '__metadata__') {
      for (const [key, text] of parseMetadata(value, path)) metadata.set(key, text)
    } else {
      tensors.set(name, parseTensor(name, value, path))
    }
  }
  checkLayout(tensors, dataBytes, path)
  return { metadata, tensors }
}

/** Elements of a shape, or undefined when the product is not a safe integer. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1
  for (const size of shape) {
    count *= size
    if (!Number.isSafeInteger(count)) return undefined
  }
  return count
}

/** `reading model.safetensors: reason`, as every refusal of a file reads. */
export function refusal(path: string, reason: string): CheckpointError {
  return new CheckpointError(
    `reading ${path}: ${reason}. The file is damaged or not a safetensors file: fetch or save it again`,
  )
}

function parseEntries(bytes: Uint8Array, path: string): [string, unknown][] {
  let text: string
  let value: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    value = JSON.parse(text)
  } catch (cause) {
    throw refusal(path, `the header is not JSON in UTF-8 (${(cause as Error).message})`)
  }
  if (!text.startsWith('{') || !/^\} *$/.test(text.slice(text.lastIndexOf('}')))) {
    throw refusal(path, 'expected the header to be one JSON object, followed by spaces only')
  }
  const repeated = duplicateKey(text)
  if (repeated !== undefined) throw refusal(path, `the header holds "${repeated}" twice`)
  return Object.entries(value as object)
}

function parseMetadata(value: unknown, path: string): [string, string][] {
  const metadata = asObject(value)
  if (metadata === undefined) {
    throw refusal(path, `expected __metadata__ to be an object, received ${printable(value)}`)
  }
  return Object.entries(metadata).map(([key, text]) => {
    if (typeof text === 'string') return [key, text]
    throw refusal(path, `metadata "${key}": expected a string, received ${printable(text)}`)
  })
}

function parseTensor(name: string, value: unknown, path: string): FileTensor {
  const { dtype, shape, data_offsets: offsets } = asObject(value) ?? {}
  const refuse = (expected: string, received: unknown) =>
    refusal(path, `tensor "${name}": expected ${expected}, received ${printable(received)}`)
  if (!isFileDtype(dtype)) {
    throw refuse(`dtype to be one of ${Object.keys(dtypeBytes).join(', ')}`, dtype)
  }
  if (!isSizes(shape)) throw refuse('shape to be a list of sizes of 0 or more', shape)
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw refuse('data_offsets to be two offsets of 0 or more', offsets)
  }
  const [begin, end] = offsets as [number, number]
  const needed = (elementCount(shape) ?? Number.NaN) * dtypeBytes[dtype]
  if (!Number.isSafeInteger(needed) || end - begin !== needed) {
    throw refuse(`data_offsets to span ${dtype} ${shapeText(shape)} (${needed} bytes)`, offsets)
  }
  return { dtype, shape, begin, end }
}

function checkLayout(tensors: Map<string, FileTensor>, dataBytes: number, path: string): void {
  let position = 0
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)
  for (const [name, { begin, end }] of inOrder) {
    if (begin !== position) {
      const what = begin > position ? 'a hole' : 'an overlap'
      throw refusal(
        path,
        `tensor "${name}": expected its data at byte ${position}, received ${begin} (${what})`,
      )
    }
    if (end > dataBytes) {
      throw refusal(path, `tensor "${name}": its data ends at byte ${end} of ${dataBytes}`)
    }
    position = end
  }
  if (position !== dataBytes) {
    throw refusal(path, `expected ${position} bytes of data, received ${dataBytes}`)
  }
}

// JSON.parse keeps the last of two equal keys and says nothing. The text is known to be valid JSON.
function duplicateKey(json: string): string | undefined {
  const open: Set<string>[] = []
  for (let i = 0; i < json.length; i++) {
    const character = json[i]
    if (character === '{') open.push(new Set())
    else if (character === '}') open.pop()
    else if (character === '"') {
      const start = i++
      while (json[i] !== '"') i += json[i] === '\\' ? 2 : 1
      let next = i + 1
      while (/\s/.test(json[next] ?? '')) next++
      if (json[next] !== ':') continue
      const key = JSON.parse(json.slice(start, i + 1)) as string
      const keys = open.at(-1)
      if (keys?.has(key)) return key
      keys?.add(key)
    }
  }
  return undefined
}

function asObject(value: unknown): Record<string, unknown> | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? (value as Record<string, unknown>) : undefined
}

function isFileDtype(value: unknown): value is FileDtype {
  return typeof value === 'string' && Object.hasOwn(dtypeBytes, value)
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0)
}
