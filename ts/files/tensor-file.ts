/** A file of named tensors of any kind that is read here: safetensors or PyTorch's, told by its first bytes. */
import { open } from 'node:fs/promises'
import { isPyTorchFile, readPyTorch } from './pytorch/checkpoint.js'
import { readSafetensors } from './safetensors.js'
import type { FileDtype } from './safetensors-header.js'
import { fileError } from './system-error.js'

/** Named tensors of a file, whatever its kind. */
export interface TensorFile {
  readonly path: string
  readonly tensors: ReadonlyMap<
    string,
    { readonly dtype: FileDtype; readonly shape: readonly number[] }
  >
  /** The values of a floating-point tensor. @throws CheckpointError when there is no such tensor */
  float32(name: string): Float32Array
}

/**
 * @param key  of a PyTorch file with several state dicts: which one, `state_dict` or `ema.model`
 * @throws CheckpointError naming the file, for one of any other kind, a damaged one, and a key that is not there
 */
export async function readTensorFile(path: string, key?: string): Promise<TensorFile> {
  if (isPyTorchFile(await firstBytes(path))) return readPyTorch(path, key)
  return readSafetensors(path)
}

async function firstBytes(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path, 'r')
    try {
      const head = new Uint8Array(512)
      const { bytesRead } = await file.read(head, 0, head.length, 0)
      return head.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw fileError(`reading ${path}`, error)
  }
}
