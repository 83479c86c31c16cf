/** From what the system said when a build of the addon did not load to a sentence and to what can be done about it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../package-root.js'
import { version } from '../version.js'
import { type Build, foreignPackages, platform, prebuiltPlatforms } from './builds.js'

/** Why a build was not taken, and what to do. */
export interface Obstacle {
  readonly reason: string
  readonly solution?: string
}

/** A clone of the repository, which builds for itself; packages do not carry the script. */
export const isClone = existsSync(join(packageRoot, 'captioneer-setup'))

const compileHere = isClone
  ? 'Build it here: ./captioneer-setup'
  : 'Compile it on this machine: npx captioneer compile'

/** Undefined when the build is there and belongs to this version. */
export function missing({ folder, variant, gpu, package: from }: Build): Obstacle | undefined {
  if (!from) {
    if (existsSync(folder)) return undefined
    const solution = gpu ? 'npm run build -- --gpu' : './captioneer-setup'
    return {
      reason: `not built: there is no ${folder}`,
      ...(isClone && ['cpu', 'cuda'].includes(variant)
        ? { solution: `Build it: ${solution}` }
        : {}),
    }
  }
  if (from.version === undefined) return notInstalled(from.name)
  if (from.version !== version)
    return {
      reason: `${from.name} is version ${from.version}, captioneer is ${version}: they must be the same`,
      solution: `npm install ${from.name}@${version}`,
    }
  return undefined
}

function notInstalled(name: string): Obstacle {
  if (!prebuiltPlatforms.includes(platform))
    return { reason: `there is no ready build for ${platform}`, solution: compileHere }
  if (process.platform === 'linux' && glibcVersion() === undefined)
    return {
      reason: 'ready builds need glibc, and this system has another C library (Alpine has musl)',
      solution: `Use a system with glibc, e.g. the image node:22-slim. Or: ${compileHere}`,
    }
  const foreign = foreignPackages()
  if (foreign.length > 0)
    return {
      reason: `${name} is not installed, but ${foreign.join(', ')} is: node_modules comes from another system`,
      solution: 'Delete node_modules and install again on this machine: npm install',
    }
  return {
    reason: `${name} is not installed`,
    solution:
      `npm install ${name}@${version} (npm leaves optional packages out with --omit=optional, and where ` +
      'package-lock.json was written on another system: then delete node_modules and package-lock.json first)',
  }
}

/** @param message of the error that loading threw */
export function explain(message: string, build: Build): Obstacle {
  const first = message.split('\n')[0] ?? ''
  const again = build.package
    ? `Install it again: npm install --force ${build.package.name}@${version}`
    : compileHere
  const glibc = /version [`'](GLIBC_([\d.]+))' not found/.exec(message)
  if (glibc)
    return {
      reason: `it needs glibc ${glibc[2]} or newer, this system has ${glibcVersion() ?? 'another C library'}`,
      solution: `Use a newer system (Debian 10, Ubuntu 20.04, RHEL 8 or newer). Or: ${compileHere}`,
    }
  const runtime =
    /version [`'](GLIBCXX_[\d.]+|CXXABI_[\d.]+|GCC_[\d.]+|GOMP_[\d.]+)' not found/.exec(message)
  if (runtime)
    return {
      reason: `it was compiled by a newer compiler: this system's C++ runtime has no ${runtime[1]}`,
      solution: compileHere,
    }
  const library = /(lib[\w.+-]+): cannot open shared object file/.exec(message)?.[1]
  if (library)
    return {
      reason: `it needs ${library}, which is not there`,
      solution: remedyFor(library) ?? again,
    }
  if (/invalid ELF header|file too short|truncated/i.test(message))
    return { reason: `its file is damaged (${first})`, solution: again }
  if (/wrong ELF class|Exec format error|incompatible architecture/i.test(message))
    return { reason: `it is made for another processor than ${platform}`, solution: again }
  if (/failed to map segment|Operation not permitted/i.test(message))
    return {
      reason: `the system does not let it be loaded from there (${first})`,
      solution: 'Install on a file system that is not mounted with "noexec"',
    }
  if (/^No native build was found/.test(message))
    return { reason: `No native build was found in ${build.folder}`, solution: again }
  return { reason: first, solution: compileHere }
}

function remedyFor(library: string): string | undefined {
  const debian = {
    'libdnnl.so.2': 'libdnnl2',
    'libgomp.so.1': 'libgomp1',
    'libOpenCL.so.1': 'ocl-icd-libopencl1',
  }
  const found = debian[library as keyof typeof debian]
  return found && `On Debian and Ubuntu: apt-get install ${found}`
}

/** Of the running system; undefined where the C library is another. */
export function glibcVersion(): string | undefined {
  const report: unknown = process.report?.getReport()
  const header =
    typeof report === 'object' && report !== null && 'header' in report ? report.header : undefined
  return typeof header === 'object' && header !== null && 'glibcVersionRuntime' in header
    ? String(header.glibcVersionRuntime)
    : undefined
}
