/**
 * The form of torch.save before PyTorch 1.6: five pickles one after another (magic number, version, machine, the
 * checkpoint, the keys of its storages), then each storage as its length and its numbers.
 */
import type { FileHandle } from 'node:fs/promises'
import { allocate, readFully } from '../read-bytes.js'
import { dtypeBytes } from '../safetensors-header.js'
import type { OpenCheckpoint } from './checkpoint.js'
import { maxPickleBytes, unpickle } from './pickle.js'
import { damaged } from './refusal.js'

// PROTO 2, then the magic number 0x1950a86a20f9469cfc6c as a LONG1, then STOP.
const magic = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex')

/** Whether a file begins as this form does. */
export function isLegacy(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0, magic.length)).equals(magic)
}

/** @throws CheckpointError for a class or instruction that is refused, and for damage */
export async function openLegacy(file: FileHandle, path: string): Promise<OpenCheckpoint> {
  const { size } = await file.stat()
  const read = async (position: number, bytes: number) => {
    if (position + bytes > size) throw damaged(path, `it ends within its numbers, at byte ${size}`)
    const target = allocate(bytes, path)
    await readFully(file, target, position, () => damaged(path, 'it ended while it was read'))
    return target
  }
  const head = await read(0, Math.min(size, maxPickleBytes))
  const version = unpickle(head, path, magic.length)
  if (version.value !== 1001)
    throw damaged(path, `its version is ${String(version.value)}, not 1001`)
  const machine = unpickle(head, path, version.end)
  const checkpoint = unpickle(head, path, machine.end)
  const order = unpickle(head, path, checkpoint.end)
  const storages = new Map(checkpoint.storages.map((storage) => [storage.key, storage]))
  const isList = typeof order.value === 'object' && order.value !== null && 'items' in order.value
  const places = new Map<string, number>()
  let at = order.end
  for (const key of isList ? order.value.items : []) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined
    if (storage === undefined || places.has(storage.key))
      throw damaged(path, 'its list of storages does not fit its tensors')
    const elements = Number(Buffer.from(await read(at, 8)).readBigInt64LE())
    if (elements !== storage.elements)
      throw damaged(path, `a storage has ${elements} numbers, not ${storage.elements}`)
    places.set(storage.key, at + 8)
    at += 8 + elements * dtypeBytes[storage.dtype]
  }
  return {
    value: checkpoint.value,
    storage: async ({ key, elements, dtype }) => {
      const place = places.get(key)
      if (place === undefined) throw damaged(path, `the numbers of storage "${key}" are missing`)
      return read(place, elements * dtypeBytes[dtype])
    },
  }
}
