/**
 * Every name that a pickle may mention, and the plain data that it stands for. Nothing is looked up in Python, and
 * nothing is run: a name that is not in these tables ends the reading.
 * Source of the forms: PyTorch, torch/_utils.py (`_rebuild_tensor_v2`) and torch/serialization.py (`persistent_id`).
 */
import type { FileDtype } from '../safetensors-header.js'
import { kindOf, type PickleValue, type StorageValue, tupleItems } from './values.js'

/** Why a value is not what PyTorch writes; the caller says in which file. */
export class Malformed extends Error {}

type Build = (args: readonly PickleValue[], name: string) => PickleValue

const storages: ReadonlyMap<string, FileDtype> = new Map([
  ['torch.DoubleStorage', 'F64'],
  ['torch.FloatStorage', 'F32'],
  ['torch.HalfStorage', 'F16'],
  ['torch.BFloat16Storage', 'BF16'],
  ['torch.LongStorage', 'I64'],
  ['torch.IntStorage', 'I32'],
  ['torch.ShortStorage', 'I16'],
  ['torch.CharStorage', 'I8'],
  ['torch.ByteStorage', 'U8'],
  ['torch.BoolStorage', 'BOOL'],
])

const builds: ReadonlyMap<string, Build> = new Map([
  ['collections.OrderedDict', emptyDict],
  ['builtins.dict', emptyDict],
  // Items are shared, not copied, so that a short pickle cannot ask for more than its length of them.
  ['builtins.set', (args, name) => ({ kind: 'set', items: itemsOf(args, name) })],
  ['torch.Size', (args, name) => ({ kind: 'tuple', items: itemsOf(args, name) })],
  ['torch.device', () => null],
  ['torch._utils._rebuild_tensor_v2', rebuildTensor],
  // A parameter is its tensor here; whether it was trained makes no difference.
  ['torch._utils._rebuild_parameter', rebuildParameter],
  ['torch._utils._rebuild_parameter_with_state', rebuildParameter],
])

/** Whether a pickle may mention a name; it is written `module.name`. */
export function isAllowed(name: string): boolean {
  return storages.has(name) || builds.has(name)
}

/** The name as Python 3 has it: protocol 2 still writes the one of Python 2. */
export function fullName(module: string, name: string): string {
  return `${module === '__builtin__' ? 'builtins' : module}.${name}`
}

/** What calling an allowed name with `args` stands for. @throws Malformed when PyTorch does not write such a call */
export function callOf(name: string, args: readonly PickleValue[]): PickleValue {
  const build = builds.get(name)
  if (build === undefined) throw new Malformed(`a call of ${name}`)
  return build(args, name)
}

/** The storage that a persistent id names: ('storage', class, key, location, elements). */
export function storageOf(id: PickleValue): StorageValue {
  const [tag, type, key, , elements] = tupleItems(id) ?? []
  const isClass = typeof type === 'object' && type !== null && 'kind' in type
  const dtype = isClass && type.kind === 'class' ? storages.get(type.name) : undefined
  if (tag !== 'storage' || dtype === undefined || typeof key !== 'string' || !isSize(elements))
    throw new Malformed('a persistent id that names no storage of tensors')
  return { kind: 'storage', key, dtype, elements }
}

function emptyDict(args: readonly PickleValue[], name: string): PickleValue {
  if (args.length > 0) throw new Malformed(`${name} of ${args.length} values`)
  return { kind: 'dict', entries: new Map() }
}

function itemsOf(args: readonly PickleValue[], name: string): PickleValue[] {
  const [of] = args
  const holds = typeof of === 'object' && of !== null && 'items' in of && args.length === 1
  if (!holds) throw new Malformed(`${name} of ${args.length} values`)
  return of.items
}

function rebuildParameter(args: readonly PickleValue[], name: string): PickleValue {
  const [data] = args
  if (kindOf(data) !== 'tensor') throw new Malformed(`${name} of ${kindOf(data)}`)
  return data ?? null
}

function rebuildTensor(args: readonly PickleValue[], name: string): PickleValue {
  const [storage, offset, size, strides] = args
  const shape = tupleItems(size)
  const stride = tupleItems(strides)
  const isStorage = typeof storage === 'object' && storage !== null && 'key' in storage
  if (!isStorage || !isSize(offset) || shape === undefined || stride?.length !== shape.length)
    throw new Malformed(`${name} without storage, offset, sizes and strides`)
  if (shape.length > 16 || !shape.every(isSize) || !stride.every(isSize))
    throw new Malformed(`${name} of sizes that no tensor has`)
  const last = shape.reduce((at, size, axis) => at + (size - 1) * (stride[axis] ?? 0), offset)
  if (!shape.includes(0) && !(last < storage.elements))
    throw new Malformed(`a tensor that reaches beyond its storage of ${storage.elements} numbers`)
  return { kind: 'tensor', storage, offset, shape, stride }
}

function isSize(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
