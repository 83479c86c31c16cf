/**
 * Files that are either the old or the new, never half: written beside the target, flushed to the disk,
 * renamed over it. What stands in the file is left to the caller.
 */
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileError, systemCode } from './system-error.js'

// Names of the temporary files that this process is writing at the moment, as full paths.
const active = new Set<string>()
let counter = 0

/**
 * Writes a file whole or not at all, also when the process is killed or the power fails: temporary file in
 * the same folder, fsync, rename, fsync of the folder. After a failure the earlier file is unchanged and
 * the temporary one is gone; a killed process leaves its temporary file to `removeLeftovers`.
 *
 * @param path   the file; its folder must exist
 * @param write  writes the content; the handle is closed afterwards
 * @throws CheckpointError when the system refuses (disk full, no permission, ...); whatever `write` throws
 */
export async function writeAtomic(
  path: string,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const folder = dirname(path)
  const temporary = join(folder, `.${basename(path)}.${process.pid}-${counter++}.tmp`)
  active.add(temporary)
  try {
    await writeDurably(temporary, write)
    await rename(temporary, path)
    await syncFolder(folder)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw fileError(`saving ${path}`, error)
  } finally {
    active.delete(temporary)
  }
}

/**
 * Removes the temporary files that killed processes left in a folder; those of living ones stay.
 *
 * @param isOurs  whether a file of that name is the caller's to write; any, when left out
 * @throws CheckpointError when the folder cannot be read or changed
 */
export async function removeLeftovers(
  folder: string,
  isOurs: (name: string) => boolean = () => true,
): Promise<void> {
  try {
    for (const name of await readdir(folder)) {
      const [, target = '', pid] = /^\.(.+)\.(\d+)-\d+\.tmp$/.exec(name) ?? []
      if (pid === undefined || !isOurs(target)) continue
      if (!isBeingWritten(join(folder, name), Number(pid))) {
        await rm(join(folder, name), { force: true })
      }
    }
  } catch (error) {
    throw fileError(`removing unfinished files in ${folder}`, error)
  }
}

async function writeDurably(
  path: string,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await write(file)
    await file.sync()
  } finally {
    await file.close()
  }
}

// Without it a power failure may undo the rename. Windows and some network file systems cannot do it.
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP'].includes(systemCode(error) ?? '')) throw error
  } finally {
    await handle.close()
  }
}

function isBeingWritten(path: string, pid: number): boolean {
  if (pid === process.pid) return active.has(path)
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCode(error) !== 'ESRCH'
  }
}
