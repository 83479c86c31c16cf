/** What lies in the packages: everything that belongs there, and nothing else. */
import { readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { packageRoot } from '../../ts/package-root.js'
import type { Packed } from '../pack.js'

/** By folder: what may lie in the main package. */
const mainFiles: readonly RegExp[] = [
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|THIRD-PARTY-NOTICES|CMakeLists\.txt)$/,
  /^dist\/ts\/.*\.(js|d\.ts)$/,
  // captioneer bench, and PyTorch's side of it.
  /^dist\/bench\/[\w-]+\.js$/,
  /^bench\/peers\/.*\.py$/,
  // The page that the server shows, with the example pictures that the project draws.
  /^(dist\/)?ts\/serve\/.*\.(js|json|css|html|svg|png|webp|ico)$/,
  /^ts\/report\/browser\/[\w-]+\.js$/,
  /^ts\/evaluate\/meteor\/synonyms\.txt\.gz$/,
  /^ts\/train\/trackers\/feed_wandb\.py$/,
  /^binding\/.*\.(cpp|h|mjs)$/,
  /^cpu\/.*\.(cpp|h)$/,
  /^cuda\/.*\.(cu|cuh|cpp|h)$/,
]

const platformFiles: readonly RegExp[] = [
  /^(package\.json|README\.md|LICENSE|THIRD-PARTY-NOTICES)$/,
  /^prebuilds\/[a-z0-9]+-[a-z0-9]+\/(captioneer\.node|lib[\w+-]+\.so\.\d+)$/,
]

/** What a user of captioneer cannot do without. */
const mainNeeds = [
  'dist/ts/index.js',
  'dist/ts/index.d.ts',
  'dist/ts/cli/main.js',
  'binding/build.mjs',
  'CMakeLists.txt',
  'LICENSE',
]

const tests = /(^|\/)(tests?|fixtures)\/|^(dist\/)?examples\/|\.test\.|\.spec\./
/** Files for people are read as text, and searched for places of the machine they were made on. */
const texts = new Set([
  '.js',
  '.ts',
  '.json',
  '.md',
  '.html',
  '.css',
  '.cpp',
  '.h',
  '.cu',
  '.cuh',
  '.mjs',
  '.py',
  '',
])
const largestPicture = 200_000

export function checkFiles(packages: readonly Packed[]): string[] {
  const problems = packages.flatMap((packed) => problemsOf(packed))
  if (problems.length > 0) throw new Error(problems.join('\n'))
  return packages.map(({ name, files }) => `${name}: ${files.length} files, all of them expected`)
}

function problemsOf({ name, folder, files, platform }: Packed): string[] {
  const allowed = platform ? platformFiles : mainFiles
  const needs = platform
    ? ['prebuilds/linux-x64/captioneer.node', 'LICENSE', 'THIRD-PARTY-NOTICES']
    : mainNeeds
  const paths = files.map(({ path }) => path)
  return [
    ...needs.filter((path) => !paths.includes(path)).map((path) => `${name} lacks ${path}`),
    ...paths
      .filter((path) => tests.test(path) || !allowed.some((pattern) => pattern.test(path)))
      .map((path) => `${name} has ${path}, which is not on the list of what may be in it`),
    ...files
      .filter(({ path, size }) => /\.(png|jpe?g|webp|avif)$/.test(path) && size > largestPicture)
      .map(({ path, size }) => `${name} has ${path} with ${size} bytes: a photograph?`),
    ...paths
      .filter((path) => texts.has(extname(path)) && namesAPlace(join(folder, path)))
      .map((path) => `${name}: ${path} names a folder of the machine it was made on`),
  ]
}

function namesAPlace(path: string): boolean {
  const places = [packageRoot, process.env.HOME].filter((place) => place && place.length > 1)
  const text = readFileSync(path, 'utf8')
  return places.some((place) => text.includes(`${place}/`))
}
