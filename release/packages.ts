/** What a release consists of: the package `captioneer` and one package a build of its addon. */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { packageName } from '../ts/addon/builds.js'
import { packageRoot } from '../ts/package-root.js'

/** A package with one build of the addon. */
export interface PlatformPackage {
  readonly name: string
  /** What build.ts calls the build: its folder in build/release. */
  readonly build: string
  /** Version of CUDA of its GPU kernels; undefined: the CPU's kernels alone. */
  readonly cuda?: number
  readonly description: string
}

export const platformPackages: readonly PlatformPackage[] = [
  { name: packageName(), build: 'cpu', description: 'the CPU backend' },
  ...[13, 12].map((cuda) => ({
    name: packageName(cuda),
    build: `cuda${cuda}`,
    cuda,
    description: `the CPU backend and kernels for NVIDIA GPUs (CUDA ${cuda})`,
  })),
]

/** Where everything of a release is made. */
export const releaseFolder = join(packageRoot, 'build', 'release')

/** Folder with a finished build: the addon and what it needs beside it. */
export function prebuiltFolder(build: string): string {
  return join(releaseFolder, build, 'prebuilds', `${process.platform}-${process.arch}`)
}

export function isBuilt(build: string): boolean {
  return existsSync(join(prebuiltFolder(build), 'captioneer.node'))
}

/** Written into a build's folder: what it was compiled from. */
export const madeFrom = 'made-from.txt'

/** Whether a build is of the sources as they are now; another would not fit the JavaScript. */
export function isCurrent(build: string): boolean {
  const path = join(releaseFolder, build, madeFrom)
  return isBuilt(build) && existsSync(path) && readFileSync(path, 'utf8') === sourcesChecksum()
}

/** Of everything that the addon is compiled from. */
export function sourcesChecksum(): string {
  const hash = createHash('sha256')
  for (const name of ['CMakeLists.txt', 'binding', 'cpu', 'cuda']) {
    const path = join(packageRoot, name)
    const files = statSync(path).isFile()
      ? [path]
      : readdirSync(path, { recursive: true, encoding: 'utf8' })
          .sort()
          .map((inner) => join(path, inner))
    for (const file of files)
      if (statSync(file).isFile())
        hash.update(file.slice(packageRoot.length)).update(readFileSync(file))
  }
  return hash.digest('hex')
}

export interface Manifest {
  readonly [key: string]: unknown
  readonly name: string
  readonly version: string
  readonly files: readonly string[]
  readonly dependencies: Readonly<Record<string, string>>
}

/** package.json as it stands in the repository. */
export function ownManifest(): Manifest {
  return JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as Manifest
}

/**
 * package.json as it is published: without what only a clone needs, with the packages that hold the addon. The CPU's is an
 * optional dependency: npm installs it where it fits, and a machine that it does not fit can still compile. npm cannot see
 * a GPU: a package with GPU kernels is named by whoever wants it, and a peer so that its version is checked.
 */
export function publishedManifest(manifest: Manifest): Manifest {
  const { devDependencies: _dev, scripts: _scripts, ava: _ava, ...kept } = manifest
  const cpu = platformPackages.filter(({ cuda }) => cuda === undefined)
  const gpu = platformPackages.filter(({ cuda }) => cuda !== undefined)
  return {
    ...kept,
    files: [...manifest.files, 'THIRD-PARTY-NOTICES'],
    optionalDependencies: Object.fromEntries(cpu.map(({ name }) => [name, manifest.version])),
    peerDependencies: Object.fromEntries(gpu.map(({ name }) => [name, manifest.version])),
    peerDependenciesMeta: Object.fromEntries(gpu.map(({ name }) => [name, { optional: true }])),
  }
}

/** package.json of a package with a build of the addon. */
export function platformManifest(
  { name, description }: PlatformPackage,
  manifest: Manifest,
): Record<string, unknown> {
  return {
    name,
    version: manifest.version,
    description: `captioneer's native addon for ${process.platform} on ${process.arch}: ${description}`,
    license: manifest.license,
    ...('repository' in manifest ? { repository: manifest.repository } : {}),
    engines: manifest.engines,
    os: [process.platform],
    cpu: [process.arch],
    ...(process.platform === 'linux' ? { libc: ['glibc'] } : {}),
    files: ['prebuilds', 'THIRD-PARTY-NOTICES'],
    // A program that opens files by path: package managers must not keep it inside an archive.
    preferUnplugged: true,
  }
}
