/**
 * Which build is taken where captioneer is an installed package: in node_modules of folders that are made here, with the
 * compiled JavaScript and the development build of the addon. Packing and npm's part are release:check's.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'ava'
import { packageRoot } from '../../ts/package-root.js'
import { version } from '../../ts/version.js'

const root = mkdtempSync(join(tmpdir(), 'captioneer-installed-'))
test.after.always(() => rmSync(root, { recursive: true, force: true }))

const developmentBuild = join(packageRoot, 'build/cpu/build/Release/captioneer.node')
const platform = `${process.platform}-${process.arch}`

interface Packaged {
  readonly version?: string
  /** What is in the .node instead of the development build. */
  readonly content?: string
}

/** node_modules with captioneer and packages @captioneer/<name>. */
function app(name: string, packages: Readonly<Record<string, Packaged>>): string {
  const modules = join(root, name, 'node_modules')
  const own = join(modules, 'captioneer')
  mkdirSync(own, { recursive: true })
  const compiled = (path: string) => !path.endsWith('.map') && !path.endsWith('.d.ts')
  cpSync(join(packageRoot, 'dist/ts'), join(own, 'dist/ts'), { recursive: true, filter: compiled })
  cpSync(join(packageRoot, 'package.json'), join(own, 'package.json'))
  symlinkSync(join(packageRoot, 'node_modules'), join(own, 'node_modules'))
  for (const [suffix, { version: its = version, content }] of Object.entries(packages)) {
    const folder = join(modules, '@captioneer', suffix)
    const file = join(folder, 'prebuilds', platform, 'captioneer.node')
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({ name: `@captioneer/${suffix}`, version: its }),
    )
    if (content === undefined) cpSync(developmentBuild, file)
    else writeFileSync(file, content)
  }
  return own
}

interface Checkup {
  readonly variants: {
    variant: string
    folder: string
    loaded: boolean
    reason?: string
    solution?: string
  }[]
  readonly problems: { problem: string; solution: string }[]
}

function doctor(own: string, environment: Readonly<Record<string, string>> = {}): Checkup {
  const { CAPTIONEER_VARIANT: _, ...env } = process.env
  const { stdout } = spawnSync(
    process.execPath,
    [join(own, 'dist/ts/cli/main.js'), 'doctor', '--json'],
    {
      encoding: 'utf8',
      cwd: root,
      env: { ...env, ...environment },
    },
  )
  return JSON.parse(stdout) as Checkup
}

test('the package for this platform is loaded', (t) => {
  const { variants, problems } = doctor(app('plain', { [platform]: {} }))
  t.is(variants.length, 1)
  t.like(variants[0], { variant: 'cpu', loaded: true })
  t.true(variants[0]?.folder.endsWith(join('@captioneer', platform)))
  t.deepEqual(problems, [])
})

test('without it: which is missing and every way out', (t) => {
  const { variants, problems } = doctor(app('lost', {}))
  t.is(variants[0]?.reason, `@captioneer/${platform} is not installed`)
  t.regex(
    problems[0]?.solution ?? '',
    new RegExp(`^npm install @captioneer/${platform}@${version}.*package-lock`),
  )
})

test('packages of another system betray a copied node_modules', (t) => {
  const { variants } = doctor(app('copied', { 'darwin-arm64': {} }))
  t.regex(
    variants[0]?.reason ?? '',
    /@captioneer\/darwin-arm64 is: node_modules comes from another system/,
  )
  t.regex(variants[0]?.solution ?? '', /Delete node_modules and install again/)
})

test('a package of another version is refused', (t) => {
  const { variants } = doctor(app('other', { [platform]: { version: '0.0.9' } }))
  t.is(
    variants[0]?.reason,
    `@captioneer/${platform} is version 0.0.9, captioneer is ${version}: they must be the same`,
  )
})

test('a damaged file is called that', (t) => {
  const { variants } = doctor(app('damaged', { [platform]: { content: '\x7fELF' } }))
  t.regex(variants[0]?.reason ?? '', /damaged/)
  t.regex(variants[0]?.solution ?? '', /npm install --force/)
})

test('a package with GPU kernels on a machine without a driver: said, and the CPU is taken', (t) => {
  const own = app('gpu', { [platform]: {}, [`${platform}-cuda13`]: {} })
  const { variants } = doctor(own)
  const gpu = variants.find(({ variant }) => variant === 'cuda13')
  if (gpu?.loaded) {
    t.log('this machine has a driver for CUDA 13')
    t.pass()
    return
  }
  t.regex(gpu?.reason ?? '', /NVIDIA driver/)
  t.like(variants.at(-1), { variant: 'cpu', loaded: true })
  t.true(variants.at(-1)?.folder.endsWith(join('@captioneer', platform)))

  const asked = doctor(own, { CAPTIONEER_VARIANT: 'cuda13' })
  t.like(asked.variants, [{ variant: 'cuda13', loaded: true }])
})

test('alone, a package with GPU kernels serves as the CPU backend', (t) => {
  const { variants, problems } = doctor(app('gpu-alone', { [`${platform}-cuda13`]: {} }))
  t.like(variants.at(-1), { variant: 'cuda13', loaded: true })
  t.false(problems.some(({ problem }) => problem.startsWith('no build')))
})

test('an addon that ends the process is passed over by doctor', (t) => {
  const own = app('crash', { [platform]: {} })
  // A build on this machine comes first; this one stands for a library that aborts.
  const folder = join(own, 'build/cuda/build/Release')
  mkdirSync(folder, { recursive: true })
  const source = join(root, 'abort.c')
  writeFileSync(
    source,
    '#include <stdlib.h>\n__attribute__((constructor)) static void f(void) { abort(); }\n',
  )
  const made = spawnSync('gcc', ['-shared', '-fPIC', '-o', join(folder, 'captioneer.node'), source])
  if (made.status !== 0) {
    t.log('there is no gcc to make an addon that crashes')
    t.pass()
    return
  }
  const { variants } = doctor(own)
  t.regex(variants[0]?.reason ?? '', /crashes while it is loaded \(SIGABRT\)/)
  t.like(variants[1], { variant: 'cpu', loaded: true })
})
