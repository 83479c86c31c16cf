/**
 * The development build with the libraries it was linked to beside it: packages to try installing with, made in a second. They
 * need this system's glibc, so none of them is published.
 */
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { packageRoot } from '../ts/package-root.js'
import { prebuiltFolder } from './packages.js'
import { output } from './run.js'

/** Of the system wherever Node itself runs. */
const everywhere =
  /^(ld-linux|linux-vdso|libc|libm|libdl|libpthread|librt|libgcc_s|libstdc\+\+)[-.]/

export const quickBuild = 'quick'

/** @returns the folder that prebuildify would have made */
export function bundleDevelopmentBuild(): string {
  const addon = join(packageRoot, 'build/cpu/build/Release/captioneer.node')
  if (!existsSync(addon)) throw new Error(`there is no ${addon}: run ./captioneer-setup first`)
  const folder = prebuiltFolder(quickBuild)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  copyFileSync(addon, join(folder, 'captioneer.node'))
  for (const line of output('ldd', [addon]).split('\n')) {
    const path = /=> (\/\S+)/.exec(line)?.[1]
    if (!path || everywhere.test(basename(path))) continue
    copyFileSync(path, join(folder, basename(path)))
  }
  return folder
}
