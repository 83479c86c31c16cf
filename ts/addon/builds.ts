/**
 * Builds of the native addon: those made on this machine (build/) and those that packages bring ready, the most capable
 * first. Which of them is taken is load.ts's.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { packageRoot } from '../package-root.js'

/** One build: what is in it, and where it would be. */
export interface Build {
  /** What CAPTIONEER_VARIANT calls it: 'cuda' and 'cpu' were made here, or 'cuda13', 'cuda12' and 'cpu' in a package. */
  readonly variant: string
  /** Folder that node-gyp-build looks into; of a package that is not installed, the package's name. */
  readonly folder: string
  /** With kernels for GPUs. */
  readonly gpu: boolean
  readonly package?: PlatformPackage
}

/** A package with a build of the addon for one platform, published with every release. */
export interface PlatformPackage {
  readonly name: string
  /** The version of CUDA that its GPU kernels were compiled with, which the driver must know. */
  readonly cuda?: number
  /** Undefined where it is not installed. */
  readonly version?: string
}

/** Platforms that releases bring builds for; on others the addon has to be compiled. */
export const prebuiltPlatforms: readonly string[] = ['linux-x64']

/** The newest first: each is for drivers that are too old for the one before. */
export const cudaVersions = [13, 12] as const

export const platform = `${process.platform}-${process.arch}`
const scope = '@captioneer'

/** The package with the builds for this platform: the CPU's, or with kernels of a version of CUDA. */
export function packageName(cuda?: number): string {
  return `${scope}/${platform}${cuda === undefined ? '' : `-cuda${cuda}`}`
}

/**
 * In the order in which they are tried.
 *
 * @param wanted 'cpu' and 'cuda' stand for every build of that kind; another word for one build alone
 */
export function builds(wanted?: string): Build[] {
  const all = [
    local('cuda'),
    ...cudaVersions.map((cuda) => packaged(`cuda${cuda}`, cuda)),
    local('cpu'),
    packaged('cpu'),
  ]
  if (!wanted) return all
  const those = all.filter(
    ({ variant, gpu }) => variant === wanted || (wanted === 'cuda' ? gpu : false),
  )
  // Builds for tests have names of their own, and are not tried unless asked for.
  return those.length > 0 ? those : [local(wanted)]
}

/** Packages for other platforms that lie where this platform's should: signs of a copied node_modules. */
export function foreignPackages(): string[] {
  const folders = [
    join(packageRoot, '..', scope),
    join(packageRoot, 'node_modules', scope),
    join(process.cwd(), 'node_modules', scope),
  ]
  const names = folders
    .filter(existsSync)
    .flatMap((folder) => readdirSync(folder))
    .filter((name) => /^(linux|darwin|win32)-/.test(name) && !name.startsWith(platform))
  return [...new Set(names)].map((name) => `${scope}/${name}`)
}

function local(variant: string): Build {
  return { variant, folder: join(packageRoot, 'build', variant), gpu: variant !== 'cpu' }
}

function packaged(variant: string, cuda?: number): Build {
  const name = packageName(cuda)
  const found = installed(name)
  return {
    variant,
    folder: found?.folder ?? name,
    gpu: cuda !== undefined,
    package: {
      name,
      ...(cuda === undefined ? {} : { cuda }),
      ...(found ? { version: found.version } : {}),
    },
  }
}

function installed(name: string): { folder: string; version: string } | undefined {
  // Package managers that keep packages apart show one that the user has added to the user's own folder alone.
  for (const from of [packageRoot, process.cwd()]) {
    try {
      const path = createRequire(join(from, 'package.json')).resolve(`${name}/package.json`)
      const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'))
      const version =
        typeof manifest === 'object' && manifest !== null && 'version' in manifest
          ? String(manifest.version)
          : 'unknown'
      return { folder: dirname(path), version }
    } catch {
      // Not there: the next place.
    }
  }
  return undefined
}
