/**
 * Around `npm pack` in a clone: puts a build of the addon into the package, which then installs by itself on systems like this
 * one. With --undo it is taken away again. Packages to publish are pack.ts's and hold no build.
 */
import { cpSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { packageRoot } from '../ts/package-root.js'
import { bundleDevelopmentBuild } from './bundle.js'
import { isCurrent, prebuiltFolder } from './packages.js'

const folder = join(packageRoot, 'build/cpu/prebuilds', `${process.platform}-${process.arch}`)

rmSync(dirname(folder), { recursive: true, force: true })
if (!process.argv.includes('--undo')) {
  const from = isCurrent('cpu') ? prebuiltFolder('cpu') : bundleDevelopmentBuild()
  cpSync(from, folder, { recursive: true })
}
