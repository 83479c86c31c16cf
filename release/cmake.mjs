#!/usr/bin/env node
// Stands in for node-gyp when prebuildify builds (--node-gyp): its arguments are node-gyp's, and what is to be built comes from
// build.ts through CAPTIONEER_RELEASE.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js')
const { out, jobs, definitions } = JSON.parse(process.env.CAPTIONEER_RELEASE ?? '{}')

// `build` alone would keep the definitions of the last build.
for (const words of [
  ['configure', ...definitions.map((text) => `--CD${text}`)],
  ['build', '--parallel', String(jobs)],
]) {
  const { status } = spawnSync(process.execPath, [cmakeJs, ...words, '--out', out], {
    cwd: root,
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(status ?? 1)
}
