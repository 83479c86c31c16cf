/** Files made to do harm: refused by name, or read as the plain data they are, in bounded time and memory. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { CheckpointError } from '../../../ts/errors.js'
import { readPyTorch } from '../../../ts/files/pytorch/checkpoint.js'
import { unpickle } from '../../../ts/files/pytorch/pickle.js'
import { temporaryFolder } from '../temporary-folder.js'
import { name, pickleOf, tensorOf, text, zipOf } from './pickle-writer.js'

const run = Buffer.concat([text('touch /tmp/owned'), Buffer.from([0x85]), Buffer.from('R')])
const refusals: [what: string, pickle: Buffer, message: RegExp][] = [
  ['os.system', pickleOf(name('os', 'system'), run), /its pickle asks for "os\.system"/],
  ['posix.system', pickleOf(name('posix', 'system'), run), /"posix\.system"/],
  ['eval of Python 2', pickleOf(name('__builtin__', 'eval'), run), /"builtins\.eval"/],
  ['builtins.eval', pickleOf(name('builtins', 'eval'), run), /"builtins\.eval"/],
  ['getattr', pickleOf(name('builtins', 'getattr'), run), /"builtins\.getattr"/],
  [
    'a name put together on the stack',
    pickleOf(text('subprocess'), text('Popen'), Buffer.from([0x93]), run),
    /"subprocess\.Popen"/,
  ],
  [
    'a dotted way in',
    pickleOf(name('torch', '_utils.os.system'), run),
    /"torch\._utils\.os\.system"/,
  ],
  ['another function of PyTorch', pickleOf(name('torch', 'load'), run), /"torch\.load"/],
  [
    'within the arguments of a tensor',
    pickleOf(name('torch._utils', '_rebuild_tensor_v2'), '(', name('os', 'system'), run, 'tR'),
    /"os\.system"/,
  ],
  [
    'within a persistent id',
    pickleOf('(', text('storage'), name('os', 'system'), run, 'tQ'),
    /"os\.system"/,
  ],
  [
    'as the state of an OrderedDict',
    pickleOf(name('collections', 'OrderedDict'), ')R', name('os', 'system'), run, 'b'),
    /"os\.system"/,
  ],
  ['INST', pickleOf('(', text('id'), 'ios\nsystem\n'), /the instruction INST, which no state dict/],
  ['OBJ', pickleOf('(', 'o'), /the instruction OBJ/],
  ['EXT1', pickleOf(Buffer.from([0x82, 1])), /the instruction EXT1/],
  ['NEWOBJ_EX', pickleOf(Buffer.from([0x92])), /the instruction NEWOBJ_EX/],
  ['PERSID', pickleOf('P/etc/passwd\n'), /the instruction PERSID/],
  ['a name of 1 MB', pickleOf(name('a'.repeat(1e6), 'b')), /asks for "a{97}\.\.\."/],
  ['a call of a storage', pickleOf(name('torch', 'FloatStorage'), ')R'), /a call of torch\.Float/],
  ['a call of a text', pickleOf(text('os.system'), ')R'), /a call of a string/],
  ['attributes of a class', pickleOf(name('torch', 'Size'), '}b'), /attributes of a class/],
  ['attributes of a list', pickleOf(']}b'), /attributes of a list/],
  ['a storage without class', pickleOf('(', text('storage'), 'NNNNtQ'), /names no storage/],
  ['an empty stack', pickleOf('0'), /an instruction without its values/],
  ['values below a mark', pickleOf('N(0'), /an instruction without its values/],
  ['no mark', pickleOf('Nt'), /an instruction without its mark/],
  ['no end', Buffer.from([0x80, 2, 0x4e]), /its pickle holds no end/],
  ['a text without end', pickleOf('X\xff\xff\xff\xff'), /its pickle holds no end/],
  ['a text of 2^63 bytes', pickleOf(Buffer.from('8dffffffffffffff7f', 'hex')), /holds no end/],
  ['no reference', pickleOf('h\x07'), /a reference to nothing/],
  ['protocol 1', Buffer.from('80014e2e', 'hex'), /protocol 1, not one of 2 to 5/],
  ['no instruction', pickleOf('\xff'), /0xff, which is no instruction/],
]

for (const [what, pickle, message] of refusals) {
  test(`refused: ${what}`, async (t) => {
    await refusedAs(t, zipOf({ 'a/data.pkl': pickle, 'a/version': Buffer.from('3') }), message)
  })
}

const tensors: [what: string, parts: readonly (string | Buffer)[], message: RegExp][] = [
  ['more sizes than strides', tensorOf('0', 4, [2, 2], [1]), /without storage, offset, sizes/],
  ['a size below 0', tensorOf('0', 4, [-1], [1]), /of sizes that no tensor has/],
  ['a stride below 0', tensorOf('0', 4, [2], [-1]), /of sizes that no tensor has/],
  ['a reach beyond its storage', tensorOf('0', 4, [3], [2]), /reaches beyond its storage of 4/],
  [
    'a key that is a path',
    tensorOf('../../etc/passwd', 4, [4], [1]),
    /"a\/data\/\.\.\/.*" is missing/,
  ],
  ['a storage of another length', tensorOf('0', 5, [4], [1]), /expected 20 bytes, received 16/],
]

for (const [what, parts, message] of tensors) {
  test(`refused: a tensor with ${what}`, async (t) => {
    const pickle = pickleOf('}', text('x'), ...parts, 's')
    await refusedAs(t, zipOf({ 'a/data.pkl': pickle, 'a/data/0': Buffer.alloc(16) }), message)
  })
}

test('the same tensor with sizes that fit is read', async (t) => {
  const pickle = pickleOf('}', text('x'), ...tensorOf('0', 4, [2], [2]), 's')
  const path = join(await temporaryFolder(t), 'a.pth')
  const data = Buffer.from(new Float32Array([1, 2, 3, 4]).buffer)
  await writeFile(path, zipOf({ 'a/data.pkl': pickle, 'a/data/0': data }))
  t.deepEqual(Array.from((await readPyTorch(path)).float32('x')), [1, 3])
})

test('a short pickle cannot ask for much: sharing, deep nesting, cycles, many marks', async (t) => {
  const doubled = Buffer.from('q\x002h\x00\x86q\x00', 'latin1')
  const laughs = Buffer.concat(Array.from({ length: 20_000 }, () => doubled))
  const pair = Buffer.concat([Buffer.from('}q\x01', 'latin1'), text('a'), Buffer.from('h\x01s')])
  const cases: [string, Buffer][] = [
    ['tuples of themselves', pickleOf(')', laughs)],
    ['dicts within dicts', pickleOf(...Array(50_000).fill('}'), ...nest(49_999))],
    ['a dict within itself', pickleOf(pair)],
    ['marks', pickleOf('('.repeat(500_000), 'N')],
  ]
  for (const [what, pickle] of cases) {
    const start = process.hrtime.bigint()
    await refusedAs(t, zipOf({ 'a/data.pkl': pickle }), /holds no dict of tensors|without its/)
    t.true(Number(process.hrtime.bigint() - start) < 3e9, what)
  }
})

/** Each dict of a stack of them into the one below it: put aside, dropped, and set there under a key. */
function nest(count: number): Buffer[] {
  const aside = Buffer.from('q\x020', 'latin1')
  const set = Buffer.from('h\x02s', 'latin1')
  return Array.from({ length: count }, () => Buffer.concat([aside, text('a'), set]))
}

test('instructions are counted', (t) => {
  const many = pickleOf('N0'.repeat(2_100_000), 'N')
  t.throws(() => unpickle(many, 'a.pth'), {
    instanceOf: CheckpointError,
    message: /more than 4000000 instructions/,
  })
})

const zips: [what: string, zip: (whole: Buffer) => Buffer, message: RegExp][] = [
  ['encrypted', (zip) => changed(zip, 8, 1), /"a\/data\.pkl" is encrypted/],
  ['another method', (zip) => changed(zip, 10, 12), /compressed by method 12/],
  ['parts over each other', (zip) => overlapping(zip), /its parts claim \d+ bytes of/],
  ['the same name twice', (zip) => renamed(zip), /it holds "a\/data\.pkl" twice/],
  ['a wrong CRC-32', (zip) => changed(zip, 16, 1), /the CRC-32 .* is wrong/],
  ['a directory outside', (zip) => directoryAt(zip, 0xffffff), /points outside of the file/],
  ['deflated bytes that are none', (zip) => changed(zip, 10, 8), /the CRC-32 .* is wrong/],
]

for (const [what, change, message] of zips) {
  test(`refused: a zip file, ${what}`, async (t) => {
    const whole = zipOf({ 'a/data.pkl': pickleOf('}'), 'a/data.pk2': Buffer.alloc(40) })
    await refusedAs(t, change(whole), message)
  })
}

test('a deflated part expands to no more than it says', async (t) => {
  const { deflateRawSync } = await import('node:zlib')
  const bomb = deflateRawSync(Buffer.alloc(1 << 26))
  const zip = changed(zipOf({ 'a/data.pkl': bomb }), 10, 8)
  const before = process.memoryUsage().rss
  await refusedAs(t, zip, /the CRC-32 .* is wrong/)
  t.true(process.memoryUsage().rss - before < 1 << 25)
})

async function refusedAs(t: ExecutionContext, content: Buffer, message: RegExp): Promise<void> {
  const path = join(await temporaryFolder(t), 'a.pth')
  await writeFile(path, content)
  const error = await t.throwsAsync(readPyTorch(path), { instanceOf: CheckpointError, message })
  t.true(error?.message.startsWith(`reading ${path}: `))
}

/** A zip file with one byte of its first directory entry changed. */
function changed(zip: Buffer, place: number, value: number): Buffer {
  const copy = Buffer.from(zip)
  copy[directoryOf(zip) + place] = value
  return copy
}

function directoryOf(zip: Buffer): number {
  return zip.readUInt32LE(zip.length - 6)
}

function directoryAt(zip: Buffer, place: number): Buffer {
  const copy = Buffer.from(zip)
  copy.writeUInt32LE(place, zip.length - 6)
  return copy
}

function overlapping(zip: Buffer): Buffer {
  const copy = Buffer.from(zip)
  for (const place of [20, 24]) copy.writeUInt32LE(directoryOf(zip), directoryOf(zip) + place)
  return copy
}

function renamed(zip: Buffer): Buffer {
  return Buffer.from(zip.toString('latin1').replaceAll('data.pk2', 'data.pkl'), 'latin1')
}
