import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { CheckpointError } from '../../ts/errors.js'
import { requireTensors } from '../../ts/files/require-tensors.js'
import { readSafetensors, writeSafetensors } from '../../ts/files/safetensors.js'
import type { TensorEntry } from '../../ts/files/safetensors-format.js'
import { bytesOf, rawSafetensors } from './raw-safetensors.js'
import { temporaryFolder } from './temporary-folder.js'

const entries: TensorEntry[] = [
  { name: 'flags', dtype: 'BOOL', shape: [3], data: new Uint8Array([1, 0, 1]) },
  {
    name: 'weight',
    dtype: 'F32',
    shape: [2, 3],
    data: bytesOf(new Float32Array([1, -2, 0.5, 3, NaN, 1e-40])),
  },
  { name: 'empty', dtype: 'F32', shape: [0, 7], data: new Uint8Array(0) },
  { name: 'step', dtype: 'I64', shape: [], data: bytesOf(new BigInt64Array([-5n])) },
  { name: '__proto__', dtype: 'U8', shape: [1], data: new Uint8Array([9]) },
  { name: '7', dtype: 'F16', shape: [1], data: bytesOf(new Uint16Array([0x3c00])) },
  { name: 'ä "quoted" \u0000 \ud83d\ude00', dtype: 'U8', shape: [0], data: new Uint8Array(0) },
]

test('tensors and metadata come back as written, aligned to their elements', async (t) => {
  const path = join(await temporaryFolder(t), 'a.safetensors')
  const metadata = new Map([
    ['format', 'pt'],
    ['__proto__', '"\n'],
  ])
  await writeSafetensors(path, entries, metadata)
  const file = await readSafetensors(path)
  t.true(file.verified)
  t.deepEqual(file.metadata, metadata)
  t.deepEqual([...file.tensors.keys()].sort(), entries.map(({ name }) => name).sort())
  for (const { name, dtype, shape, data } of entries) {
    const tensor = file.tensors.get(name)
    t.deepEqual({ dtype: tensor?.dtype, shape: tensor?.shape }, { dtype, shape })
    t.deepEqual(Buffer.from(file.bytes(name)), Buffer.from(data))
  }
  t.is((await readFile(path)).readUInt32LE(0) % 8, 0)
  t.is(file.tensors.get('weight')?.begin, 8, 'after the I64')
  t.deepEqual(file.float32('weight'), new Float32Array([1, -2, 0.5, 3, NaN, 1e-40]))
  t.is(file.float32('weight').buffer, file.bytes('weight').buffer, 'a view')
})

test('a file of nothing and a rewrite of a read file are fine', async (t) => {
  const path = join(await temporaryFolder(t), 'a.safetensors')
  await writeSafetensors(path, [])
  const nothing = await readSafetensors(path)
  t.is(nothing.tensors.size + nothing.metadata.size, 0)
  await writeSafetensors(path, [], new Map([['captioneer.sha256', 'stale']]))
  t.true((await readSafetensors(path)).verified)
})

test('every float16 and bfloat16 becomes the float32 of its value', async (t) => {
  const path = join(await temporaryFolder(t), 'a.safetensors')
  const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits)
  const doubles = new Float64Array([1 / 3, -1e300, 2 ** -149])
  await writeSafetensors(path, [
    { name: 'half', dtype: 'F16', shape: [65536], data: bytesOf(all) },
    { name: 'brain', dtype: 'BF16', shape: [65536], data: bytesOf(all) },
    { name: 'double', dtype: 'F64', shape: [3], data: bytesOf(doubles) },
  ])
  const file = await readSafetensors(path)
  const value = (bits: number, exponentBits: number, fractionBits: number) => {
    const sign = bits & 0x8000 ? -1 : 1
    const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1)
    const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits
    const bias = 2 ** (exponentBits - 1) - 1
    if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN
    return exponent === 0
      ? sign * fraction * 2 ** (1 - bias)
      : sign * (1 + fraction) * 2 ** (exponent - bias)
  }
  const half = file.float32('half')
  const brain = file.float32('brain')
  for (const bits of all) {
    if (!Object.is(half[bits], value(bits, 5, 10))) t.fail(`float16 ${bits}: ${half[bits]}`)
    if (!Object.is(brain[bits], value(bits, 8, 7))) t.fail(`bfloat16 ${bits}: ${brain[bits]}`)
  }
  t.deepEqual(file.float32('double'), Float32Array.from(doubles))
})

test('foreign files: any order of keys, unaligned data, no checksum', async (t) => {
  const path = join(await temporaryFolder(t), 'a.safetensors')
  const data = Buffer.concat([
    Buffer.from([7]),
    bytesOf(new Float32Array([1.5])),
    bytesOf(new Float64Array([0.1])),
  ])
  const header = {
    d: { dtype: 'F64', shape: [1], data_offsets: [5, 13] },
    b: { dtype: 'F32', shape: [1, 1], data_offsets: [1, 5] },
    a: { dtype: 'U8', shape: [], data_offsets: [0, 1] },
    __metadata__: { format: 'pt' },
    zero: { dtype: 'F32', shape: [0], data_offsets: [5, 5] },
  }
  await writeFile(path, rawSafetensors(`${JSON.stringify(header)}   `, data))
  const file = await readSafetensors(path)
  t.false(file.verified)
  t.deepEqual(file.metadata, new Map([['format', 'pt']]))
  t.deepEqual(file.float32('b'), new Float32Array([1.5]))
  t.deepEqual(file.float32('d'), new Float32Array([0.1]))
  t.is(file.float32('zero').length, 0)
})

const f32 = (shape: unknown, begin: unknown, end: unknown, dtype: unknown = 'F32') =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] })

// Header, bytes of data, and the reason of the refusal.
const broken: [string, string, number, RegExp][] = [
  ['no object', '[]', 0, /one JSON object/],
  ['not JSON', '{"a":', 0, /not JSON in UTF-8/],
  ['a space before', ' {}', 0, /one JSON object/],
  ['a line break after', '{}\n', 0, /one JSON object/],
  ['trailing text', '{} {}', 0, /not JSON/],
  ['a key twice', `{"a":${f32([1], 0, 4)},"\\u0061":${f32([1], 0, 4)}}`, 4, /holds "a" twice/],
  [
    'a field twice',
    '{"a":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    4,
    /"dtype" twice/,
  ],
  [
    'metadata of a number',
    '{"__metadata__":{"step":3}}',
    0,
    /metadata "step": expected a string, received 3/,
  ],
  [
    'metadata of text',
    '{"__metadata__":"x"}',
    0,
    /expected __metadata__ to be an object, received "x"/,
  ],
  [
    'unknown dtype',
    `{"a":${f32([1], 0, 4, 'F31')}}`,
    4,
    /tensor "a": expected dtype to be one of F64, .* received "F31"/,
  ],
  [
    'dtype of the prototype',
    `{"a":${f32([1], 0, 4, 'toString')}}`,
    4,
    /tensor "a": expected dtype/,
  ],
  ['no entry', '{"a":null}', 0, /tensor "a": expected dtype .* received undefined/],
  ['negative size', `{"a":${f32([-1], 0, 4)}}`, 4, /tensor "a": expected shape .* received \[-1\]/],
  ['fractional size', `{"a":${f32([1.5], 0, 6)}}`, 6, /tensor "a": expected shape/],
  ['size of text', `{"a":${f32(['1'], 0, 4)}}`, 4, /tensor "a": expected shape/],
  [
    'overflow',
    `{"a":${f32([2 ** 40, 2 ** 40], 0, 4)}}`,
    4,
    /tensor "a": expected data_offsets to span/,
  ],
  [
    'overflow to nothing',
    `{"a":${f32([2 ** 40, 2 ** 40, 0], 0, 0)}}`,
    0,
    /tensor "a": expected data_offsets/,
  ],
  [
    'shape larger than data',
    `{"a":${f32([2], 0, 4)}}`,
    4,
    /span F32 \[2\] \(8 bytes\), received \[0,4\]/,
  ],
  ['end before begin', `{"a":${f32([1], 4, 0)}}`, 4, /tensor "a": expected data_offsets to span/],
  ['negative offset', `{"a":${f32([1], -4, 0)}}`, 4, /tensor "a": expected data_offsets to be two/],
  [
    'three offsets',
    '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}',
    1,
    /expected data_offsets to be two/,
  ],
  [
    'a hole',
    `{"a":${f32([1], 0, 4)},"b":${f32([1], 8, 12)}}`,
    12,
    /tensor "b": .* at byte 4, received 8 \(a hole\)/,
  ],
  [
    'an overlap',
    `{"a":${f32([2], 0, 8)},"b":${f32([1], 4, 8)}}`,
    8,
    /tensor "b": .* \(an overlap\)/,
  ],
  [
    'the same place',
    `{"a":${f32([1], 0, 4)},"b":${f32([1], 0, 4)}}`,
    4,
    /tensor "b": .* \(an overlap\)/,
  ],
  [
    'nothing inside another',
    `{"a":${f32([2], 0, 8)},"b":${f32([0], 4, 4)}}`,
    8,
    /tensor "b": .* \(an overlap\)/,
  ],
  ['too little data', `{"a":${f32([1], 0, 4)}}`, 3, /tensor "a": its data ends at byte 4 of 3/],
  ['too much data', `{"a":${f32([1], 0, 4)}}`, 5, /expected 4 bytes of data, received 5/],
]

for (const [name, header, dataBytes, reason] of broken) {
  test(`refused: ${name}`, async (t) => {
    await refused(t, rawSafetensors(header, Buffer.alloc(dataBytes)), reason)
  })
}

test('refused: files too short for their header, and text that is not UTF-8', async (t) => {
  await refused(t, Buffer.alloc(0), /expected at least 8 bytes, received 0/)
  await refused(t, Buffer.alloc(7), /expected at least 8 bytes, received 7/)
  const claims = Buffer.from(rawSafetensors('{}', Buffer.alloc(0)))
  claims.writeBigUInt64LE(2n ** 64n - 1n)
  await refused(t, claims, /claims 18446744073709552000 bytes of a file of 10/)
  const latin1 = Buffer.from('{"__metadata__":{"a":"\xe4"}}', 'latin1')
  await refused(t, rawSafetensors(latin1, Buffer.alloc(0)), /not JSON in UTF-8/)
})

test('a changed byte of an own file is found', async (t) => {
  const path = join(await temporaryFolder(t), 'a.safetensors')
  await writeSafetensors(path, entries)
  const bytes = await readFile(path)
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1)
  await refused(t, bytes, /its SHA-256 is not the one it carries as "captioneer.sha256"/)
})

test('a missing file, a folder and a missing key are named', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'a.safetensors')
  await t.throwsAsync(readSafetensors(path), {
    instanceOf: CheckpointError,
    message: `reading ${path}: no such file or folder. Check the path (ENOENT)`,
  })
  await t.throwsAsync(readSafetensors(folder), {
    instanceOf: CheckpointError,
    message: /not a regular file/,
  })
  await writeSafetensors(path, entries)
  const file = await readSafetensors(path)
  t.throws(() => file.bytes('weigth'), {
    instanceOf: CheckpointError,
    message:
      `reading ${path}: tensor "weigth" is missing (nearest name in the file: "weight"). ` +
      'Use the file with the model that it was saved for',
  })
  t.throws(() => file.float32('step'), {
    instanceOf: CheckpointError,
    message: `reading ${path}: expected tensor "step" to be F32, F64, F16 or BF16, received I64`,
  })
})

test('requireTensors names what is missing, misshaped or unknown', async (t) => {
  const path = join(await temporaryFolder(t), 'a.safetensors')
  const zeros = (name: string, ...shape: [number, number]) => {
    return { name, dtype: 'U8' as const, shape, data: new Uint8Array(shape[0] * shape[1]) }
  }
  await writeSafetensors(path, [zeros('a', 2, 3), zeros('b', 1, 1)])
  const file = await readSafetensors(path)
  const a: [string, number[]] = ['a', [2, 3]]
  t.notThrows(() => requireTensors(file, new Map([a, ['b', [1, 1]]])))
  t.notThrows(() => requireTensors(file, new Map([a]), 'ignore'))
  const refusedAs = (expected: [string, number[]][], reason: string) =>
    t.throws(() => requireTensors(file, new Map(expected)), {
      instanceOf: CheckpointError,
      message: `reading ${path}: ${reason}. Use the file with the model that it was saved for`,
    })
  refusedAs([a], 'the model has no tensor "b"')
  refusedAs([['a', [3, 2]]], 'expected tensor "a" to be [3, 2], received [2, 3]')
  refusedAs([['a', [2, 3, 1]]], 'expected tensor "a" to be [2, 3, 1], received [2, 3]')
  refusedAs([['decoder.weight', [1]]], 'tensor "decoder.weight" is missing')
})

test('what cannot be read back is not written', async (t) => {
  const path = join(await temporaryFolder(t), 'a.safetensors')
  const one = { name: 'a', dtype: 'U8', shape: [1], data: new Uint8Array(1) } as const
  const refusedAs = (list: TensorEntry[], reason: string) =>
    t.throwsAsync(writeSafetensors(path, list), {
      instanceOf: CheckpointError,
      message: `saving ${path}: tensor ${reason}`,
    })
  await refusedAs([one, one], '"a": the name is taken')
  await refusedAs([{ ...one, name: '__metadata__' }], '"__metadata__": the name is taken')
  await refusedAs([{ ...one, dtype: 'F32' }], '"a": expected 4 bytes for F32 [1], received 1')
  await t.throwsAsync(access(path))
})

const published = join(import.meta.dirname, '../../../../shared/weights/mobilenet_v2.safetensors')

test('published weights are read', async (t) => {
  const isThere = await access(published).then(
    () => true,
    () => false,
  )
  if (!isThere) {
    t.log('skipped: no shared folder with mobilenet_v2.safetensors beside the project')
    return t.pass()
  }
  const file = await readSafetensors(published)
  const isParameter = (name: string) => !/running_|num_batches/.test(name)
  const parameters = [...file.tensors].filter(([name]) => isParameter(name))
  t.is(
    parameters.reduce((sum, [, { begin, end }]) => sum + (end - begin) / 4, 0),
    3_504_872,
  )
  t.deepEqual(file.tensors.get('classifier.1.weight')?.shape, [1000, 1280])
  t.true(file.float32('features.0.0.weight').every(Number.isFinite))
})

async function refused(t: ExecutionContext, bytes: Uint8Array, reason: RegExp): Promise<void> {
  const path = join(await temporaryFolder(t), 'a.safetensors')
  await writeFile(path, bytes)
  const error = await t.throwsAsync(readSafetensors(path), { instanceOf: CheckpointError })
  t.regex(error?.message ?? '', reason)
  t.true(error?.message.startsWith(`reading ${path}: `))
}
