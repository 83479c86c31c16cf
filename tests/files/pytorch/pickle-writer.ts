/** Pickles and zip files byte by byte, for what torch.save would never write. */
import { crc32 } from 'node:zlib'

/** A pickle of protocol 2: instructions as one-letter codes and texts, ended by STOP. */
export function pickleOf(...parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat([Buffer.from([0x80, 2]), ...parts.map(bytes), Buffer.from('.')])
}

/** BINUNICODE. */
export function text(value: string): Buffer {
  const encoded = Buffer.from(value)
  const size = Buffer.alloc(4)
  size.writeUInt32LE(encoded.length)
  return Buffer.concat([Buffer.from('X'), size, encoded])
}

/** GLOBAL. */
export function name(module: string, attribute: string): Buffer {
  return Buffer.from(`c${module}\n${attribute}\n`)
}

/** BININT. */
export function integer(value: number): Buffer {
  const encoded = Buffer.alloc(5, 'J')
  encoded.writeInt32LE(value, 1)
  return encoded
}

/** A zip file with stored parts. */
export function zipOf(parts: Readonly<Record<string, Uint8Array>>): Buffer {
  const locals: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const [path, content] of Object.entries(parts)) {
    const encoded = Buffer.from(path)
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50)
    local.writeUInt16LE(encoded.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50)
    entry.writeUInt32LE(crc32(content), 16)
    entry.writeUInt32LE(content.length, 20)
    entry.writeUInt32LE(content.length, 24)
    entry.writeUInt16LE(encoded.length, 28)
    entry.writeUInt32LE(offset, 42)
    locals.push(local, encoded, Buffer.from(content))
    directory.push(entry, encoded)
    offset += 30 + encoded.length + content.length
  }
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50)
  end.writeUInt16LE(Object.keys(parts).length, 10)
  end.writeUInt32LE(Buffer.concat(directory).length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, ...directory, end])
}

function bytes(part: string | Buffer): Buffer {
  return typeof part === 'string' ? Buffer.from(part, 'latin1') : part
}

/** A checkpoint as torch.save writes it: tensors of float32, under `key` where there is one. */
export function checkpointOf(
  tensors: Iterable<readonly [name: string, shape: readonly number[], values: Float32Array]>,
  key?: string,
): Buffer {
  const parts: Record<string, Uint8Array> = {}
  const entries: (string | Buffer)[] = []
  for (const [path, shape, values] of tensors) {
    const storage = `${Object.keys(parts).length}`
    parts[`archive/data/${storage}`] = Buffer.from(
      values.buffer,
      values.byteOffset,
      values.byteLength,
    )
    entries.push(text(path), ...tensorOf(storage, values.length, shape, rowMajor(shape)), 's')
  }
  const state = ['}', ...entries]
  const pickle = key === undefined ? pickleOf(...state) : pickleOf('}', text(key), ...state, 's')
  return zipOf({ 'archive/data.pkl': pickle, ...parts })
}

/** A call of _rebuild_tensor_v2 over a whole storage of float32. */
export function tensorOf(
  key: string,
  elements: number,
  shape: readonly number[],
  stride: readonly number[],
): (string | Buffer)[] {
  const storage = [text('storage'), name('torch', 'FloatStorage'), text(key), text('cpu')]
  return [
    name('torch._utils', '_rebuild_tensor_v2'),
    '((',
    ...storage,
    integer(elements),
    'tQ',
    integer(0),
    '(',
    ...shape.map(integer),
    't(',
    ...stride.map(integer),
    't',
    Buffer.from([0x89]),
    name('collections', 'OrderedDict'),
    ')RtR',
  ]
}

function rowMajor(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1))
}
