/** What a build of the addon asks of the system it is installed on. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Packed } from '../pack.js'
import { output } from '../run.js'

/** Part of every system with glibc that Node runs on. */
const system = /^(libc|libm|libdl|libpthread|librt|libgcc_s)\.so\.\d+$|^ld-linux-/
/** What Node 20 itself needs: Debian 10, Ubuntu 20.04, RHEL 8. */
const newestGlibc = [2, 28] as const

export function checkBinaries(packages: readonly Packed[], quick: boolean): string[] {
  const lines: string[] = []
  const problems: string[] = []
  for (const { folder, platform } of packages) {
    if (!platform) continue
    const binaries = join(folder, 'prebuilds', `${process.platform}-${process.arch}`)
    const beside = readdirSync(binaries)
    for (const file of beside) {
      const { needed, glibc } = needs(join(binaries, file))
      const name = `${platform.build}/${file}`
      lines.push(`${name}: glibc ${glibc.join('.')}, ${needed.join(' ')}`)
      // The development build has this system's C++ library and glibc.
      if (quick) continue
      const foreign = needed.filter((library) => !system.test(library) && !beside.includes(library))
      if (foreign.length > 0)
        problems.push(`${name} needs ${foreign.join(', ')}, which other machines may lack`)
      if (isNewer(glibc, newestGlibc))
        problems.push(
          `${name} needs glibc ${glibc.join('.')}: build it with --sysroot for ${newestGlibc.join('.')} or older`,
        )
    }
  }
  if (problems.length > 0) throw new Error([...problems, ...lines].join('\n'))
  return lines
}

function needs(file: string): { needed: string[]; glibc: readonly [number, number] } {
  const text = output('objdump', ['-p', file])
  const needed = [...text.matchAll(/NEEDED\s+(\S+)/g)].map(([, library]) => library ?? '')
  const glibc = [...text.matchAll(/\bGLIBC_(\d+)\.(\d+)/g)]
    .map(([, major, minor]) => [Number(major), Number(minor)] as const)
    .reduce((a, b) => (isNewer(b, a) ? b : a), [2, 0])
  return { needed, glibc }
}

function isNewer(a: readonly [number, number], b: readonly [number, number]): boolean {
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1])
}
