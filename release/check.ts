/**
 * npm run release:check: packs the release, looks at what is in it, installs it as a new user would, works with it, and tells
 * sizes and licences. Every check runs even when one before it failed.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundleDevelopmentBuild } from './bundle.js'
import { auditProblems } from './checks/audit.js'
import { checkBinaries } from './checks/binaries.js'
import { checkFiles } from './checks/files.js'
import { checkGpuPackages, install } from './checks/install.js'
import { checkLicences } from './checks/licences.js'
import { reportSizes } from './checks/sizes.js'
import { checkTypes } from './checks/types.js'
import { checkUse } from './checks/use.js'
import { packAll } from './pack.js'
import { serveRegistry } from './registry.js'

const usage = `Usage: npm run release:check -- [--quick] [--keep]

Packs captioneer and its builds (npm run release:build), installs them from a registry of its own into an empty folder, without
install scripts, and uses them with nothing but Node on the PATH. Other packages come from the registry npm is set up for.

  --quick   with the development build and this system's libraries in place of a build for other machines
  --keep    keep the folder that they were installed into
`

const { quick, keep } = readFlags()
const folder = mkdtempSync(join(tmpdir(), 'captioneer-release-'))
let failures = 0

if (quick) bundleDevelopmentBuild()
const packages = packAll(quick)
await check('files', () => checkFiles(packages))
await check('binaries', () => checkBinaries(packages, quick))
const registry = await serveRegistry(packages)
try {
  const app = join(folder, 'app')
  await check('install', () => install(app, registry.url, packages))
  await check('use', () => checkUse(app))
  await check('gpu-install', () => checkGpuPackages(folder, registry.url, packages))
  await check('types', () => checkTypes(app))
  await check('licences', () => checkLicences(app))
  await check('audit', () => auditProblems(app))
  await check('sizes', () => reportSizes(app, packages))
} finally {
  registry.close()
  if (keep) console.log(`kept: ${folder}`)
  else rmSync(folder, { recursive: true, force: true })
}
console.log(failures === 0 ? 'release:check: passed' : `release:check: ${failures} failed`)
process.exitCode = failures === 0 ? 0 : 1

/** A check returns lines to print, and throws what is wrong. */
async function check(name: string, work: () => Promise<string[]> | string[]): Promise<void> {
  const began = performance.now()
  try {
    const lines = await work()
    console.log(`${name}: passed, ${((performance.now() - began) / 1000).toFixed(1)} s`)
    for (const line of lines) console.log(`  ${line}`)
  } catch (error) {
    failures++
    const message = error instanceof Error ? error.message : String(error)
    console.log(`${name}: FAILED\n  ${message.replaceAll('\n', '\n  ')}`)
  }
}

function readFlags(): { quick: boolean; keep: boolean } {
  try {
    const options = {
      quick: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
    } as const
    return parseArgs({ options }).values
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${usage}`)
    process.exit(2)
  }
}
