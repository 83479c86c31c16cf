/** Names of the files that stand beside pictures: one for each picture, never one for two. */
import { parse } from 'node:path'
import { isImageName } from '../data/data-folder.js'

/**
 * `photo.jpg` gets `photo.txt`. Pictures that would share one (`photo.jpg`, `photo.png`) all keep their whole names
 * (`photo.jpg.txt`, `photo.png.txt`), so that none can take the caption of another for its own, in whatever order they
 * come. Case counts for nothing in this: on many disks `A.txt` is `a.txt`.
 *
 * @param names      of all pictures in one folder
 * @param extension  with its point: `.txt`
 * @returns          the sidecar of each
 */
export function sidecarNames(names: Iterable<string>, extension: string): Map<string, string> {
  const sidecars = new Map<string, string>()
  for (const name of names)
    sidecars.set(name, (isImageName(name) ? parse(name).name : name) + extension)
  // A whole name may in turn be the short one of another: a.jpg.txt also is the sidecar of a.jpg.png.
  for (let changed = true; changed; ) {
    changed = false
    for (const sharing of groups(sidecars).values()) {
      if (sharing.length < 2) continue
      for (const name of sharing) {
        if (sidecars.get(name) === name + extension) continue
        sidecars.set(name, name + extension)
        changed = true
      }
    }
  }
  return sidecars
}

function groups(sidecars: ReadonlyMap<string, string>): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const [name, sidecar] of sidecars) {
    const key = sidecar.toLowerCase()
    found.set(key, [...(found.get(key) ?? []), name])
  }
  return found
}
