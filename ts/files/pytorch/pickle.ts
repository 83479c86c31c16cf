/**
 * Reads the part of Python's pickle format, protocols 2 to 5, that state dicts are written in. A pickle is a program;
 * here each instruction only puts plain data on a stack, and any other instruction, or a name that classes.ts does not
 * list, ends the reading. Time and memory are bounded by the pickle's own length.
 * Source of the format: CPython, Lib/pickletools.py.
 */
import { callOf, fullName, isAllowed, Malformed, storageOf } from './classes.js'
import { damaged, refused } from './refusal.js'
import { kindOf, type PickleValue, type StorageValue, tupleItems } from './values.js'

/** Most bytes and instructions of a pickle; a state dict of 10,000 tensors has some 400,000. */
export const maxPickleBytes = 1 << 26
const maxInstructions = 4_000_000

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What a pickle holds. */
export interface Pickle {
  readonly value: PickleValue
  /** Every storage that it mentions, in order. */
  readonly storages: readonly StorageValue[]
  /** Where the pickle ends, bytes. */
  readonly end: number
}

/**
 * @param bytes  a pickle from `start` on, and perhaps more
 * @param path   the file, for messages
 * @throws CheckpointError naming the class or the instruction that is refused, or what is damaged
 */
export function unpickle(bytes: Uint8Array, path: string, start = 0): Pickle {
  const machine = createMachine(bytes, path, start)
  try {
    return run(machine)
  } catch (error) {
    if (error instanceof Malformed)
      throw damaged(path, `its pickle holds ${error.message} (byte ${machine.at})`)
    throw error
  }
}

type Machine = ReturnType<typeof createMachine>

function createMachine(bytes: Uint8Array, path: string, start: number) {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const stack: PickleValue[] = []
  const marks: number[] = []
  const machine = {
    path,
    stack,
    marks,
    memo: new Map<number, PickleValue>(),
    storages: [] as StorageValue[],
    at: start,
    /** The next `count` bytes. */
    take: (count: number): Buffer => {
      if (!(machine.at + count <= view.length)) throw new Malformed('no end')
      machine.at += count
      return view.subarray(machine.at - count, machine.at)
    },
    /** A size or an index of so many bytes. */
    whole: (count: 1 | 2 | 4 | 8): number => {
      const value = machine.take(count)
      return count === 8 ? Number(value.readBigUInt64LE()) : value.readUIntLE(0, count)
    },
    text: (count: number): string => {
      const bytes = machine.take(count)
      try {
        return utf8.decode(bytes)
      } catch {
        throw new Malformed('text that is not UTF-8')
      }
    },
    line: (): string => {
      const end = view.indexOf(10, machine.at)
      if (end < 0) throw new Malformed('no end')
      const text = machine.text(end - machine.at)
      machine.at = end + 1
      return text
    },
    push: (value: PickleValue) => stack.push(value),
    pop: (): PickleValue => {
      const value = stack.length > (marks.at(-1) ?? 0) ? stack.pop() : undefined
      if (value === undefined) throw new Malformed('an instruction without its values')
      return value
    },
    top: (): PickleValue => {
      const value = stack.at(-1)
      if (value === undefined) throw new Malformed('an instruction without its values')
      return value
    },
    /** The values since the last mark. */
    popMark: (): PickleValue[] => {
      const mark = marks.pop()
      if (mark === undefined) throw new Malformed('an instruction without its mark')
      return stack.splice(mark)
    },
  }
  return machine
}

function run(machine: Machine): Pickle {
  for (let count = 0; count < maxInstructions; count++) {
    const code = machine.whole(1)
    if (code === 0x2e) {
      const value = machine.pop()
      return { value, storages: machine.storages, end: machine.at }
    }
    const instruction = instructions.get(code)
    if (instruction === undefined) throw refusedInstruction(machine, code)
    instruction(machine)
  }
  throw damaged(machine.path, `its pickle has more than ${maxInstructions} instructions`)
}

type Instruction = (machine: Machine) => void

const tuple = (items: PickleValue[]): PickleValue => ({ kind: 'tuple', items })
const tupleOf =
  (count: number): Instruction =>
  (m) => {
    const items = Array.from({ length: count }, () => m.pop())
    m.push(tuple(items.reverse()))
  }

/** By code: what the format calls them stands behind each. */
const instructions: ReadonlyMap<number, Instruction> = new Map<number, Instruction>([
  [0x80, (m) => requireProtocol(m.whole(1))], // PROTO
  [0x95, (m) => m.whole(8)], // FRAME
  [0x28, (m) => m.marks.push(m.stack.length)], // MARK
  [0x30, (m) => m.pop()], // POP
  [0x31, (m) => m.popMark()], // POP_MARK
  [0x32, (m) => m.push(m.top())], // DUP
  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x4b, (m) => m.push(m.whole(1))], // BININT1
  [0x4d, (m) => m.push(m.whole(2))], // BININT2
  [0x4a, (m) => m.push(m.take(4).readInt32LE())], // BININT
  [0x8a, (m) => m.push(long(m.take(m.whole(1))))], // LONG1
  [0x47, (m) => m.push(m.take(8).readDoubleBE())], // BINFLOAT
  [0x58, (m) => m.push(m.text(m.whole(4)))], // BINUNICODE
  [0x8c, (m) => m.push(m.text(m.whole(1)))], // SHORT_BINUNICODE
  [0x8d, (m) => m.push(m.text(m.whole(8)))], // BINUNICODE8
  [0x42, (m) => m.push(m.take(m.whole(4)))], // BINBYTES
  [0x43, (m) => m.push(m.take(m.whole(1)))], // SHORT_BINBYTES
  [0x8e, (m) => m.push(m.take(m.whole(8)))], // BINBYTES8
  [0x5d, (m) => m.push({ kind: 'list', items: [] })], // EMPTY_LIST
  [0x29, (m) => m.push(tuple([]))], // EMPTY_TUPLE
  [0x7d, (m) => m.push({ kind: 'dict', entries: new Map() })], // EMPTY_DICT
  [0x8f, (m) => m.push({ kind: 'set', items: [] })], // EMPTY_SET
  [0x85, tupleOf(1)], // TUPLE1
  [0x86, tupleOf(2)], // TUPLE2
  [0x87, tupleOf(3)], // TUPLE3
  [0x74, (m) => m.push(tuple(m.popMark()))], // TUPLE
  [0x91, (m) => m.push({ kind: 'set', items: m.popMark() })], // FROZENSET
  [0x61, (m) => append(m, [m.pop()], 'list')], // APPEND
  [0x65, (m) => append(m, m.popMark(), 'list')], // APPENDS
  [0x90, (m) => append(m, m.popMark(), 'set')], // ADDITEMS
  [0x73, (m) => setItems(m, [m.pop(), m.pop()].reverse())], // SETITEM
  [0x75, (m) => setItems(m, m.popMark())], // SETITEMS
  [0x71, (m) => m.memo.set(m.whole(1), m.top())], // BINPUT
  [0x72, (m) => m.memo.set(m.whole(4), m.top())], // LONG_BINPUT
  [0x94, (m) => m.memo.set(m.memo.size, m.top())], // MEMOIZE
  [0x68, (m) => recall(m, m.whole(1))], // BINGET
  [0x6a, (m) => recall(m, m.whole(4))], // LONG_BINGET
  [0x63, (m) => mention(m, m.line(), m.line())], // GLOBAL
  [0x93, stackGlobal], // STACK_GLOBAL
  [0x52, call], // REDUCE
  [0x81, call], // NEWOBJ
  [0x62, setState], // BUILD
  [0x51, persistentId], // BINPERSID
])

function requireProtocol(protocol: number): void {
  if (protocol < 2 || protocol > 5) throw new Malformed(`protocol ${protocol}, not one of 2 to 5`)
}

/** A whole number of any length, two's complement. */
function long(bytes: Buffer): number | bigint {
  let value = 0n
  for (const byte of Buffer.from(bytes).reverse()) value = (value << 8n) | BigInt(byte)
  const signed = BigInt.asIntN(8 * bytes.length, value)
  const small = Number(signed)
  return Number.isSafeInteger(small) ? small : signed
}

function append(m: Machine, items: readonly PickleValue[], kind: 'list' | 'set'): void {
  const target = m.top()
  const fits = typeof target === 'object' && target !== null && 'items' in target
  if (!fits || target.kind !== kind) throw new Malformed(`items for a ${kindOf(target)}`)
  for (const item of items) target.items.push(item)
}

function setItems(m: Machine, items: readonly PickleValue[]): void {
  const target = m.top()
  const isDict = typeof target === 'object' && target !== null && 'entries' in target
  if (!isDict || !('kind' in target) || items.length % 2 !== 0)
    throw new Malformed(`entries for a ${kindOf(target)}`)
  for (let i = 0; i < items.length; i += 2)
    target.entries.set(items[i] ?? null, items[i + 1] ?? null)
}

function recall(m: Machine, index: number): void {
  const value = m.memo.get(index)
  if (value === undefined) throw new Malformed('a reference to nothing')
  m.push(value)
}

function stackGlobal(m: Machine): void {
  const name = m.pop()
  const module = m.pop()
  if (typeof module !== 'string' || typeof name !== 'string')
    throw new Malformed('a name that is no text')
  mention(m, module, name)
}

function mention(m: Machine, module: string, name: string): void {
  const full = fullName(module, name)
  if (isAllowed(full)) m.push({ kind: 'class', name: full })
  else throw refusedName(m.path, full)
}

function call(m: Machine): void {
  const args = tupleItems(m.pop())
  const callee = m.pop()
  const isClass = typeof callee === 'object' && callee !== null && 'kind' in callee
  if (args === undefined || !isClass || callee.kind !== 'class')
    throw new Malformed(`a call of a ${kindOf(callee)}`)
  m.push(callOf(callee.name, args))
}

// State dicts carry versions of their modules as an attribute; nothing else here has attributes.
function setState(m: Machine): void {
  m.pop()
  const target = m.top()
  if (kindOf(target) !== 'dict') throw new Malformed(`attributes of a ${kindOf(target)}`)
}

function persistentId(m: Machine): void {
  const storage = storageOf(m.pop())
  m.storages.push(storage)
  m.push(storage)
}

function refusedName(path: string, name: string): Error {
  const shown = name.length > 100 ? `${name.slice(0, 97)}...` : name
  return refused(
    path,
    `its pickle asks for ${JSON.stringify(shown)}. Only tensors in plain containers are read: a pickle can name any function of Python and run it, and captioneer runs none`,
  )
}

/** Instructions of the format that state dicts do not need. */
const others: ReadonlyMap<number, string> = new Map([
  [0x50, 'PERSID'],
  [0x69, 'INST'],
  [0x6f, 'OBJ'],
  [0x82, 'EXT1'],
  [0x83, 'EXT2'],
  [0x84, 'EXT4'],
  [0x92, 'NEWOBJ_EX'],
  [0x96, 'BYTEARRAY8'],
  [0x97, 'NEXT_BUFFER'],
  [0x98, 'READONLY_BUFFER'],
  [0x8b, 'LONG4'],
  [0x49, 'INT'],
  [0x4c, 'LONG'],
  [0x46, 'FLOAT'],
  [0x53, 'STRING'],
  [0x54, 'BINSTRING'],
  [0x55, 'SHORT_BINSTRING'],
  [0x56, 'UNICODE'],
  [0x64, 'DICT'],
  [0x6c, 'LIST'],
  [0x67, 'GET'],
  [0x70, 'PUT'],
])

function refusedInstruction(m: Machine, code: number): Error {
  const name = others.get(code)
  if (name === undefined) return new Malformed(`0x${code.toString(16)}, which is no instruction`)
  return refused(
    m.path,
    `its pickle holds the instruction ${name}, which no state dict needs (byte ${m.at - 1})`,
  )
}
