/**
 * PyTorch checkpoints (.pth, .pt, .bin) as named tensors: those of torch.save, as a zip file or in the older form of one
 * pickle after another (legacy.ts). The pickle is read by pickle.ts, which runs nothing.
 * Source of the form: PyTorch, torch/serialization.py (`_save`, `_legacy_save`).
 */
import { type FileHandle, open, stat } from 'node:fs/promises'
import { CheckpointError, shapeText } from '../../errors.js'
import { toFloat32 } from '../float32.js'
import { findTensor } from '../require-tensors.js'
import { dtypeBytes, elementCount, type FileDtype } from '../safetensors-header.js'
import { fileError } from '../system-error.js'
import { isLegacy, openLegacy } from './legacy.js'
import { maxPickleBytes, unpickle } from './pickle.js'
import { damaged, refused } from './refusal.js'
import { stateDict } from './select.js'
import type { PickleValue, StorageValue, TensorValue } from './values.js'
import { openZip } from './zip.js'

/** The tensors of one state dict, in memory. */
export interface PyTorchFile {
  readonly path: string
  readonly tensors: ReadonlyMap<
    string,
    { readonly dtype: FileDtype; readonly shape: readonly number[] }
  >
  /**
   * A tensor as float32 in row-major order: F32 without strides is a view, all else is converted and copied.
   * @throws CheckpointError when there is no such tensor, or it repeats the numbers of its storage (`expand`)
   */
  float32(name: string): Float32Array
}

/** A checkpoint whose pickle is read and whose numbers are still on the disk. */
export interface OpenCheckpoint {
  readonly value: PickleValue
  readonly storage: (storage: StorageValue) => Promise<Uint8Array>
}

/** Whether the first bytes (up to 512) of a file are those of a checkpoint, of a kind that is read or refused here. */
export function isPyTorchFile(head: Uint8Array): boolean {
  return isZip(head) || head[0] === 0x80 || isTar(head)
}

/**
 * Reads the tensors of one state dict, and no other numbers, into memory.
 *
 * @param key  which state dict; see stateDict in select.ts
 * @throws CheckpointError naming the file and the reason: damage, or a class, instruction or form that is refused
 */
export async function readPyTorch(path: string, key?: string): Promise<PyTorchFile> {
  try {
    if (!(await stat(path)).isFile()) throw damaged(path, 'not a regular file')
    const file = await open(path, 'r')
    try {
      const checkpoint = await openCheckpoint(file, path)
      return await load(checkpoint, stateDict(checkpoint.value, key, path), path)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw fileError(`reading ${path}`, error)
  }
}

async function openCheckpoint(file: FileHandle, path: string): Promise<OpenCheckpoint> {
  const head = new Uint8Array(512)
  const { bytesRead } = await file.read(head, 0, head.length, 0)
  if (isZip(head)) return openArchive(file, path)
  if (isLegacy(head)) return openLegacy(file, path)
  if (isTar(head))
    throw refused(
      path,
      'a tar file, as PyTorch wrote before 0.1.10',
      'Load it in Python with a PyTorch of today and save it again with torch.save',
    )
  throw damaged(path, `its first ${bytesRead} bytes are not those of a file of torch.save`)
}

async function openArchive(file: FileHandle, path: string): Promise<OpenCheckpoint> {
  const zip = await openZip(file, path)
  const names = [...zip.sizes.keys()]
  const pickles = names.filter((name) => /^[^/]+\/data\.pkl$/.test(name))
  const [pickleName] = pickles
  if (pickleName === undefined || pickles.length > 1)
    throw damaged(path, `a zip file with ${pickles.length} parts data.pkl, not one`)
  const folder = pickleName.slice(0, -'data.pkl'.length)
  if (names.some((name) => name.startsWith(`${folder}code/`)))
    throw refused(path, 'a TorchScript archive, which holds a program')
  const order = zip.sizes.has(`${folder}byteorder`)
    ? await zip.read(`${folder}byteorder`)
    : undefined
  if (order !== undefined && Buffer.from(order).toString('latin1') !== 'little')
    throw refused(path, 'its numbers are not little-endian', 'Save it again on another machine')
  const pickleBytes = zip.sizes.get(pickleName) ?? 0
  if (pickleBytes > maxPickleBytes)
    throw damaged(path, `its pickle has ${pickleBytes} bytes, at most ${maxPickleBytes} are read`)
  return {
    value: unpickle(await zip.read(pickleName), path).value,
    storage: ({ key }) => zip.read(`${folder}data/${key}`),
  }
}

async function load(
  checkpoint: OpenCheckpoint,
  tensors: ReadonlyMap<string, TensorValue>,
  path: string,
): Promise<PyTorchFile> {
  const bytesOf = new Map<string, Uint8Array>()
  for (const [name, { storage }] of tensors) {
    const bytes = bytesOf.get(storage.key) ?? (await checkpoint.storage(storage))
    bytesOf.set(storage.key, bytes)
    const expected = storage.elements * dtypeBytes[storage.dtype]
    if (bytes.length !== expected)
      throw damaged(path, `tensor "${name}": expected ${expected} bytes, received ${bytes.length}`)
  }
  const entries = [...tensors].map(([name, { shape, storage }]) => {
    return [name, { shape, dtype: storage.dtype }] as const
  })
  const named = new Map(entries)
  return {
    path,
    tensors: named,
    float32: (name) => {
      findTensor({ path, tensors: named }, name)
      const tensor = tensors.get(name) as TensorValue
      return values(tensor, bytesOf.get(tensor.storage.key) ?? new Uint8Array(), name, path)
    },
  }
}

function values(tensor: TensorValue, storage: Uint8Array, name: string, path: string) {
  const { offset, shape, stride } = tensor
  const { dtype, elements } = tensor.storage
  const count = elementCount(shape) ?? Number.POSITIVE_INFINITY
  if (count > elements)
    throw new CheckpointError(
      `reading ${path}: tensor "${name}": ${shapeText(shape)} repeats the ${elements} numbers of its storage. ` +
        'Save it as a tensor of its own: tensor.contiguous()',
    )
  const size = dtypeBytes[dtype]
  const isRowMajor = shape.every((length, axis) => {
    const after = shape.slice(axis + 1).reduce((product, each) => product * each, 1)
    return length <= 1 || stride[axis] === after
  })
  const bytes = isRowMajor
    ? storage.subarray(offset * size, (offset + count) * size)
    : gathered(tensor, storage, count, size)
  return toFloat32(dtype, bytes) ?? integers(dtype, bytes)
}

/** The bytes of a tensor with strides, in row-major order. */
function gathered(
  { offset, shape, stride }: TensorValue,
  from: Uint8Array,
  count: number,
  size: number,
) {
  const to = new Uint8Array(count * size)
  const index = shape.map(() => 0)
  let at = offset
  for (let i = 0; i < count; i++) {
    to.set(from.subarray(at * size, (at + 1) * size), i * size)
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const next = (index[axis] ?? 0) + 1
      at += stride[axis] ?? 0
      index[axis] = next
      if (next < (shape[axis] ?? 0)) break
      at -= next * (stride[axis] ?? 0)
      index[axis] = 0
    }
  }
  return to
}

function integers(dtype: FileDtype, bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, length } = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes)
  switch (dtype) {
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer, byteOffset, length / 8), Number)
    case 'I32':
      return Float32Array.from(new Int32Array(buffer, byteOffset, length / 4))
    case 'I16':
      return Float32Array.from(new Int16Array(buffer, byteOffset, length / 2))
    case 'I8':
      return Float32Array.from(new Int8Array(buffer, byteOffset, length))
    default:
      return Float32Array.from(bytes)
  }
}

function isZip(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0, 4)).equals(Buffer.from('PK\x03\x04', 'latin1'))
}

function isTar(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(257, 262)).toString('latin1') === 'ustar'
}
