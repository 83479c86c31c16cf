/** Installs as a new user: an empty folder, no install scripts, the packages' own manifests. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Packed } from '../pack.js'
import { outcome } from '../run.js'
import { withNodeAlone } from './node-alone.js'

/** `npm install captioneer`: brings the CPU's build and no other. */
export async function install(
  app: string,
  registry: string,
  packages: readonly Packed[],
): Promise<string[]> {
  const warnings = await npmInstall(app, registry, ['captioneer'])
  const scope = join(app, 'node_modules/@captioneer')
  const installed = existsSync(scope) ? readdirSync(scope) : []
  const expected = packages
    .filter(({ platform }) => platform && platform.cuda === undefined)
    .map(({ name }) => name.replace('@captioneer/', ''))
  if (installed.join() !== expected.join())
    throw new Error(
      `npm install captioneer: expected @captioneer/${expected} to come along, found ${installed}`,
    )
  return [
    `npm install captioneer brought ${installed.map((name) => `@captioneer/${name}`).join()}`,
    ...warnings,
  ]
}

/** `npm install captioneer @captioneer/...-cudaN`: it is taken where there is a GPU, and says what is missing elsewhere. */
export async function checkGpuPackages(
  folder: string,
  registry: string,
  packages: readonly Packed[],
): Promise<string[]> {
  const gpu = packages.filter(({ platform }) => platform?.cuda !== undefined)
  if (gpu.length === 0) return ['no build with GPU kernels was packed']
  const lines: string[] = []
  for (const { name, platform } of gpu) {
    const app = join(folder, `app-${platform?.build}`)
    await npmInstall(app, registry, ['captioneer', name])
    const { stdout } = await withNodeAlone(app, ['doctor', '--json'], {})
    const { variants, devices } = JSON.parse(stdout) as {
      variants: { variant: string; loaded: boolean; reason?: string }[]
      devices: { name: string }[]
    }
    const report = variants.find(({ variant }) => variant === platform?.build)
    if (!report || (!report.loaded && !report.reason))
      throw new Error(`${name}: doctor does not say what became of it: ${stdout}`)
    lines.push(
      `${name}: ${report.loaded ? `loaded; devices: ${devices.map((device) => device.name)}` : report.reason}`,
    )
    // Asked for by name it loads on every machine, with the CPU's kernels at least.
    const forced = await withNodeAlone(app, ['doctor', '--json'], {
      CAPTIONEER_VARIANT: platform?.build ?? '',
    })
    if (forced.code !== 0)
      throw new Error(`${name} does not load: ${forced.stdout}${forced.stderr}`)
  }
  return lines
}

/** @returns what npm warned of */
async function npmInstall(
  app: string,
  registry: string,
  names: readonly string[],
): Promise<string[]> {
  mkdirSync(app, { recursive: true })
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true }\n')
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--registry', registry]
  const { code, stderr } = await outcome('npm', ['install', ...flags, ...names], { cwd: app })
  if (code !== 0) throw new Error(`npm install ${names.join(' ')}: ${stderr}`)
  const tree = await outcome('npm', ['ls', '--all', '--omit=optional'], { cwd: app })
  if (tree.code !== 0) throw new Error(`npm ls: ${tree.stdout}`)
  return stderr.split('\n').filter((line) => /^npm warn (EBADENGINE {3}|deprecated)/i.test(line))
}
