/** An older system's root folder to compile against: what is linked to its glibc runs on every newer system. */
import { existsSync, lstatSync, readdirSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { packageRoot } from '../ts/package-root.js'

const machines: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' }

/** Where its libraries are, as Debian and Ubuntu have it. */
export function libraryFolder(root: string): string {
  const folder = join(root, 'usr/lib', `${machines[process.arch]}-linux-gnu`)
  const lacking = ['libc.so', 'libgomp.so.1'].find((name) => !existsSync(join(folder, name)))
  if (lacking === undefined) return folder
  throw new Error(
    `--sysroot: expected Debian's libc6-dev and libgomp1 in it, there is no ${join(folder, lacking)}`,
  )
}

/** For CMake; none without a sysroot. */
export function sysrootDefinitions(root: string | undefined): string[] {
  if (root === undefined) return []
  return [
    `CMAKE_TOOLCHAIN_FILE=${join(packageRoot, 'release/sysroot.cmake')}`,
    `CAPTIONEER_SYSROOT=${root}`,
    `CAPTIONEER_SYSROOT_LIBRARIES=${libraryFolder(root)}`,
  ]
}

/**
 * Makes it usable from outside: its links that begin with / mean its own files and would be followed to this system's, and
 * OpenMP's runtime is looked for under the name that compilers' packages give it.
 */
export function prepareSysroot(root: string): void {
  for (const part of ['lib', 'lib64', 'usr/lib', 'usr/lib64'].map((name) => join(root, name)))
    if (existsSync(part) && !lstatSync(part).isSymbolicLink()) makeLinksRelative(part, root)
  const openmp = join(libraryFolder(root), 'libgomp.so')
  if (!existsSync(openmp)) symlinkSync('libgomp.so.1', openmp)
}

function makeLinksRelative(folder: string, root: string): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue
    const link = join(entry.parentPath, entry.name)
    const target = readlinkSync(link)
    if (!target.startsWith('/') || target.startsWith(root)) continue
    unlinkSync(link)
    symlinkSync(relative(dirname(link), join(root, target)), link)
  }
}
