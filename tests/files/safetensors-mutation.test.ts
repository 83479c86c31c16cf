/** Damaged files never crash the reader: they are refused, or read as exactly what they hold. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { CheckpointError } from '../../ts/errors.js'
import {
  readSafetensors,
  type SafetensorsFile,
  writeSafetensors,
} from '../../ts/files/safetensors.js'
import { createRandom } from '../../ts/random.js'
import { bytesOf, rawSafetensors } from './raw-safetensors.js'
import { temporaryFolder } from './temporary-folder.js'

const numbers = [
  '-1',
  '0',
  '1',
  '3',
  '8',
  '1e308',
  '9007199254740993',
  '4294967296',
  '1.5',
  'null',
  '[]',
  '"8"',
]
const words = ['"F32"', '"I64"', '"F16"', '"U8"', '"x"', '"__metadata__"', '"__proto__"', '"shape"']

// Any one damage; `random` decides which.
function mutate(original: Buffer, random: () => number): Buffer {
  const below = (n: number) => Math.floor(random() * n)
  const bytes = Buffer.from(original)
  const headerEnd = 8 + Number(bytes.readBigUInt64LE())
  const header = bytes.toString('utf8', 8, headerEnd)
  const edited = (pattern: RegExp, replacements: string[]) => {
    const places = [...header.matchAll(pattern)]
    const { 0: old, index } = places[below(places.length)] ?? { 0: '', index: 0 }
    const replacement = replacements[below(replacements.length)] ?? ''
    const text = header.slice(0, index) + replacement + header.slice(index + old.length)
    return rawSafetensors(text, bytes.subarray(headerEnd))
  }
  const kinds = [
    () => flipped(bytes, below(8 * bytes.length)),
    () => flipped(bytes, below(8 * headerEnd)),
    () => bytes.subarray(0, below(bytes.length)),
    () => Buffer.concat([bytes, Buffer.alloc(1 + below(16), below(256))]),
    () => Buffer.concat([bytes.subarray(0, 8), Buffer.from(header.slice(below(header.length)))]),
    () => edited(/\d+/g, numbers),
    () => edited(/"[^"]*"/g, words),
    () => edited(/[{}[\],:]/g, ['', '{', '}', ',', '[', ' ', '\u0000']),
    () => {
      bytes.writeBigUInt64LE(BigInt(below(2 * bytes.length)))
      return bytes
    },
    () => {
      const at = below(bytes.length)
      for (let i = at; i < Math.min(at + 32, bytes.length); i++) bytes[i] = below(256)
      return bytes
    },
  ]
  return (kinds[below(kinds.length)] ?? (() => bytes))()
}

function flipped(bytes: Buffer, bit: number): Buffer {
  const at = Math.floor(bit / 8)
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (bit % 8)), at)
  return bytes
}

// Undefined when the reader refuses; any error but a refusal fails the test.
async function readOrRefuse(path: string): Promise<SafetensorsFile | undefined> {
  return readSafetensors(path).catch((error) => {
    if (error instanceof CheckpointError && error.message.startsWith(`reading ${path}: `))
      return undefined
    throw error
  })
}

test('1000 damaged foreign files: refused, or read within their bounds', async (t) => {
  const path = join(await temporaryFolder(t), 'a.safetensors')
  const data = Buffer.from(Array.from({ length: 46 }, (_, i) => i + 1))
  const header = {
    __metadata__: { format: 'pt' },
    a: { dtype: 'I64', shape: [], data_offsets: [0, 8] },
    b: { dtype: 'F32', shape: [2, 3], data_offsets: [8, 32] },
    c: { dtype: 'BF16', shape: [5], data_offsets: [32, 42] },
    d: { dtype: 'F32', shape: [0], data_offsets: [42, 42] },
    e: { dtype: 'U8', shape: [4, 1], data_offsets: [42, 46] },
  }
  const original = rawSafetensors(JSON.stringify(header), data)
  const random = createRandom(1)
  let read = 0
  for (let i = 0; i < 1000; i++) {
    const bytes = mutate(original, random)
    await writeFile(path, bytes)
    const file = await readOrRefuse(path)
    if (file === undefined) continue
    read++
    const start = 8 + Number(bytes.readBigUInt64LE())
    let total = 0
    for (const [name, { begin, end, dtype }] of file.tensors) {
      total += end - begin
      const stored = bytes.subarray(start + begin, start + end)
      if (!stored.equals(file.bytes(name)))
        t.fail(`file ${i}: "${name}" is not what the file holds`)
      if (dtype === 'F32' && file.float32(name).length !== (end - begin) / 4) t.fail(`file ${i}`)
    }
    if (start + total !== bytes.length)
      t.fail(`file ${i}: ${total} bytes of ${bytes.length - start}`)
  }
  t.log(`${read} read, ${1000 - read} refused`)
  t.true(read > 50 && read < 500, 'both outcomes occur')
})

test('1000 damaged own files: refused, or equal to the original', async (t) => {
  const path = join(await temporaryFolder(t), 'a.safetensors')
  const values = Float32Array.from({ length: 24 }, (_, i) => i / 7)
  await writeSafetensors(
    path,
    [
      { name: 'weight', dtype: 'F32', shape: [4, 6], data: bytesOf(values) },
      { name: 'ids', dtype: 'U8', shape: [3], data: new Uint8Array([1, 2, 3]) },
    ],
    new Map([['state', '{"step":12}']]),
  )
  const original = await readFile(path)
  const random = createRandom(2)
  let refusals = 0
  for (let i = 0; i < 1000; i++) {
    const bytes = mutate(original, random)
    await writeFile(path, bytes)
    const file = await readOrRefuse(path)
    if (file === undefined) {
      refusals++
      continue
    }
    if (file.verified && !bytes.equals(original)) t.fail(`file ${i}: damage was not found`)
    const isEqual =
      Buffer.from(bytesOf(values)).equals(file.bytes('weight')) &&
      Buffer.from([1, 2, 3]).equals(file.bytes('ids')) &&
      file.metadata.get('state') === '{"step":12}'
    if (!isEqual) t.fail(`file ${i}: read with other values`)
  }
  t.log(`${1000 - refusals} equal, ${refusals} refused`)
  t.true(refusals > 900)
})
