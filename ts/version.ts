/** The package's version, from package.json. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from './package-root.js'

const manifest: unknown = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'))

export const version: string =
  typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown'
