/**
 * Errors of the operating system in words that say what to do. The callers say what they were doing;
 * errors that are not the system's pass through unchanged.
 */
import { CheckpointError } from '../errors.js'

const advice: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the disk. Free some space and start again',
  EDQUOT: 'the disk quota is used up. Free some space and start again',
  EFBIG: 'the file would be larger than this user may write. Raise the limit (ulimit -f)',
  EACCES: 'permission denied. Give this user access, or choose another folder',
  EPERM: 'operation not permitted. Give this user access, or choose another folder',
  EROFS: 'the file system is read-only. Choose another folder',
  ENOENT: 'no such file or folder. Check the path',
  EEXIST: 'a file of that name is in the way. Move it, or choose another name',
  ENOTDIR: 'a part of the path is not a folder. Check the path',
  EISDIR: 'the path is a folder, a file was expected. Check the path',
  EMFILE: 'too many open files. Raise the limit (ulimit -n)',
  EIO: 'the disk reported an input/output error. Check the disk',
}

/** The code of a system error (`ENOSPC`), undefined for any other value. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('syscall' in error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** Why the system refused and what to do; undefined for errors that are not the system's. */
export function systemReason(error: unknown): string | undefined {
  const code = systemCode(error)
  return code === undefined ? undefined : `${advice[code] ?? (error as Error).message} (${code})`
}

/**
 * A CheckpointError that reads `doing: reason. What to do`, with the system error as its cause.
 *
 * @param doing  what was being done, with the file: `saving runs/a/model.safetensors`
 * @returns      the error itself when it does not come from the system
 */
export function fileError(doing: string, error: unknown): unknown {
  const reason = systemReason(error)
  return reason === undefined ? error : new CheckpointError(`${doing}: ${reason}`, { cause: error })
}
