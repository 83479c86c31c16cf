/** Puts the packages of a release together and packs them: build/release/*.tgz. Builds of the addon are build.ts's. */
import { copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../ts/package-root.js'
import { quickBuild } from './bundle.js'
import { mainNotices, platformNotices } from './notices.js'
import {
  isBuilt,
  isCurrent,
  type Manifest,
  ownManifest,
  type PlatformPackage,
  platformManifest,
  platformPackages,
  prebuiltFolder,
  publishedManifest,
  releaseFolder,
} from './packages.js'
import { output, run } from './run.js'

/** A packed package. */
export interface Packed {
  readonly name: string
  readonly version: string
  readonly tarball: string
  /** The folder it was packed from, package.json included. */
  readonly folder: string
  readonly packedBytes: number
  readonly unpackedBytes: number
  readonly files: readonly { readonly path: string; readonly size: number }[]
  readonly platform?: PlatformPackage
}

const packagesFolder = join(releaseFolder, 'packages')

/** The main package, and one of each build that is there; with `quick` only bundle.ts's. */
export function packAll(quick: boolean): Packed[] {
  rmSync(packagesFolder, { recursive: true, force: true })
  const manifest = ownManifest()
  const built = quick
    ? platformPackages.slice(0, 1).map((cpu) => ({ ...cpu, build: quickBuild }))
    : platformPackages.filter(({ build }) => isBuilt(build))
  const stale = built.filter(({ build }) => !quick && !isCurrent(build))
  if (stale.length > 0)
    throw new Error(
      `${stale.map(({ build }) => build)}: built from other sources than these: npm run release:build again`,
    )
  if (built.length === 0)
    throw new Error('there is no build of the addon to pack: npm run release:build first')
  return [packMain(manifest), ...built.map((platform) => packPlatform(platform, manifest))]
}

function packMain(manifest: Manifest): Packed {
  const folder = join(packagesFolder, 'captioneer')
  mkdirSync(folder, { recursive: true })
  // Packed once as it stands, so that npm decides what its `files` mean; then again with the manifest of the release.
  const { filename } = packed(
    output('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', packagesFolder], {
      cwd: packageRoot,
    }),
  )
  const first = join(packagesFolder, filename)
  run('tar', ['-xzf', first, '-C', folder, '--strip-components=1'])
  rmSync(first)
  rmSync(join(folder, 'build'), { recursive: true, force: true })
  writeJson(join(folder, 'package.json'), publishedManifest(manifest))
  writeFileSync(join(folder, 'THIRD-PARTY-NOTICES'), mainNotices())
  return pack(folder)
}

function packPlatform(platform: PlatformPackage, manifest: Manifest): Packed {
  const folder = join(packagesFolder, platform.build)
  mkdirSync(folder, { recursive: true })
  const prebuilt = prebuiltFolder(platform.build)
  cpSync(prebuilt, join(folder, 'prebuilds', `${process.platform}-${process.arch}`), {
    recursive: true,
  })
  writeJson(join(folder, 'package.json'), platformManifest(platform, manifest))
  copyFileSync(join(packageRoot, 'LICENSE'), join(folder, 'LICENSE'))
  writeFileSync(join(folder, 'THIRD-PARTY-NOTICES'), platformNotices(platform))
  writeFileSync(join(folder, 'README.md'), readme(platform))
  return { ...pack(folder), platform }
}

function readme({ name, description, cuda }: PlatformPackage): string {
  const install =
    cuda === undefined
      ? 'npm installs it together with `captioneer`.'
      : `npm cannot see a GPU, so name it: \`npm install captioneer ${name}\`. It needs NVIDIA's driver and nothing else.`
  return `# ${name}\n\nA build of the native addon of captioneer for ${process.platform} on ${process.arch}: ${description}. ${install}\n`
}

function pack(folder: string): Packed {
  const words = ['pack', '--json', '--pack-destination', releaseFolder]
  const { name, version, filename, size, unpackedSize, files } = packed(
    output('npm', words, { cwd: folder }),
  )
  return {
    name,
    version,
    tarball: join(releaseFolder, filename),
    folder,
    packedBytes: size,
    unpackedBytes: unpackedSize,
    files,
  }
}

interface NpmPack {
  readonly name: string
  readonly version: string
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string; readonly size: number }[]
}

function packed(json: string): NpmPack {
  const [first] = JSON.parse(json) as NpmPack[]
  if (!first) throw new Error('npm pack: it packed nothing')
  // npm 9 and 10 name the file of a scoped package as its name is, and write another.
  return { ...first, filename: first.filename.replace('@', '').replace('/', '-') }
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`)
}
