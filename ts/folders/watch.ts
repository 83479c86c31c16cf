/** Pictures as they arrive in folders, once they are written fully. */
import { relative, resolve, sep } from 'node:path'
import { isImageName } from '../data/data-folder.js'
import { DataError } from '../errors.js'
import { systemReason } from '../files/system-error.js'

/** A file whose size stays the same for so long is taken to be whole, milliseconds. */
const STABLE_MS = 1000
const POLL_MS = 200

export interface Watching {
  /** Absolute paths of pictures that are new or have changed since the last call; ends when the signal aborts. */
  next(): Promise<ReadonlySet<string> | undefined>
  close(): Promise<void>
}

/**
 * Watches folders from now on. Hidden files and links to folders are not looked at.
 * @throws DataError when the system cannot watch them
 */
export async function watchFolders(
  folders: readonly string[],
  { recursive, signal }: { readonly recursive: boolean; readonly signal: AbortSignal },
): Promise<Watching> {
  const { watch } = await import('chokidar')
  const roots = folders.map((folder) => resolve(folder))
  const watcher = watch(roots, {
    ignoreInitial: true,
    followSymlinks: false,
    ...(recursive ? {} : { depth: 0 }),
    ignored: (path, facts) =>
      isHidden(path, roots) || (facts?.isFile() === true && !isImageName(path)),
    awaitWriteFinish: { stabilityThreshold: STABLE_MS, pollInterval: POLL_MS },
  })
  let arrived = new Set<string>()
  let failure: unknown
  let wake = () => {}
  const add = (path: string) => {
    if (!isImageName(path)) return
    arrived.add(path)
    wake()
  }
  const fail = (error: unknown) => {
    failure ??= new DataError(
      `watching ${folders.join(', ')}: ${systemReason(error) ?? String(error)}`,
      { cause: error },
    )
    wake()
  }
  const stop = () => wake()
  signal.addEventListener('abort', stop)
  watcher.on('add', add).on('change', add).on('error', fail)
  await new Promise<void>((done) => {
    wake = done
    watcher.on('ready', done)
  })
  return {
    async next() {
      while (arrived.size === 0 && failure === undefined && !signal.aborted)
        await new Promise<void>((done) => {
          wake = done
        })
      if (failure !== undefined) throw failure
      if (signal.aborted) return undefined
      const found = arrived
      arrived = new Set()
      return found
    },
    async close() {
      signal.removeEventListener('abort', stop)
      await watcher.close()
    },
  }
}

function isHidden(path: string, roots: readonly string[]): boolean {
  const root = roots.find((folder) => path === folder || path.startsWith(folder + sep)) ?? ''
  return relative(root, path)
    .split(sep)
    .some((part) => part.startsWith('.'))
}
