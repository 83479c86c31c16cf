/** Bytes of open files into memory, in pieces that never hold up other work for long. */
import type { FileHandle } from 'node:fs/promises'
import { OutOfMemoryError } from '../errors.js'

// Large enough to keep the disk busy, small enough that hashing never holds up other work for long.
export const chunkBytes = 8 << 20

/**
 * Fills `target` from the file.
 *
 * @param position  byte of the file to begin with
 * @param ended     the error to throw when the file ends before
 * @param onChunk   sees each piece as it comes
 */
export async function readFully(
  file: FileHandle,
  target: Uint8Array,
  position: number,
  ended: () => Error,
  onChunk: (chunk: Uint8Array) => void = () => {},
): Promise<void> {
  for (let done = 0; done < target.byteLength; ) {
    const count = Math.min(chunkBytes, target.byteLength - done)
    const { bytesRead } = await file.read(target, done, count, position + done)
    if (bytesRead === 0) throw ended()
    onChunk(target.subarray(done, done + bytesRead))
    done += bytesRead
  }
}

/** @throws OutOfMemoryError naming the file when so many bytes do not fit */
export function allocate(bytes: number, path: string): Uint8Array {
  try {
    return new Uint8Array(bytes)
  } catch (cause) {
    throw new OutOfMemoryError(
      `reading ${path}: its ${(bytes / 2 ** 30).toFixed(2)} GiB do not fit into memory. ` +
        'Use a smaller file or a machine with more memory',
      { cause },
    )
  }
}
