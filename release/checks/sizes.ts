/** How much a user downloads and keeps. */
import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Packed } from '../pack.js'

export function reportSizes(app: string, packages: readonly Packed[]): string[] {
  const modules = join(app, 'node_modules')
  const sizes = packageFolders(modules)
    .map((name) => ({ name, bytes: bytesIn(join(modules, name)) }))
    // The declarations that the check of types needed.
    .filter(({ name }) => !/^(@types\/node|undici-types)$/.test(name))
    .sort((a, b) => b.bytes - a.bytes)
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0)
  return [
    ...packages.map(
      ({ name, packedBytes, unpackedBytes }) =>
        `${name}: ${megabytes(packedBytes)} to download, ${megabytes(unpackedBytes)} on disk`,
    ),
    `npm install captioneer: ${sizes.length} packages, ${megabytes(total)} on disk; the largest:`,
    ...sizes.slice(0, 6).map(({ name, bytes }) => `  ${name} ${megabytes(bytes)}`),
  ]
}

function packageFolders(modules: string): string[] {
  return readdirSync(modules)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) =>
      name.startsWith('@')
        ? readdirSync(join(modules, name)).map((inner) => `${name}/${inner}`)
        : [name],
    )
}

function bytesIn(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => lstatSync(join(folder, path)))
    .reduce((sum, facts) => sum + (facts.isFile() ? facts.size : 0), 0)
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
