/**
 * Compiles the emulator and its own test programs with g++, each file again only when something it may include is newer.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../../ts/native.js'

const sources = join(packageRoot, 'tests', 'emulator')
const output = join(packageRoot, 'build', 'emulator-tests')

const common = ['-std=c++20', '-g1', '-Wall', '-Wextra', '-Werror', '-Wno-psabi', '-c']
const include = [`-I${join(sources, 'include')}`, `-I${sources}`]
/** As the addon's emulated variant compiles kernels: with access hooks, though without the sanitizer's library. */
const kernelFlags = [
  '-x',
  'c++',
  '-O1',
  '-DCAPTIONEER_EMULATED',
  '-fsanitize=thread',
  '-Wno-tsan',
  '-Wno-unknown-pragmas',
]

interface Step {
  readonly source: string
  readonly object: string
  readonly flags: readonly string[]
}

/** Whether g++ is there. */
export const hasCompiler = spawnSync('g++', ['--version']).status === 0

/**
 * Builds all programs of tests/emulator/kernels.
 *
 * @returns the path of each program, by its name
 * @throws Error with the compiler's messages
 */
export async function buildPrograms(): Promise<Map<string, string>> {
  mkdirSync(output, { recursive: true })
  const headers = newest([
    ...files(sources, '.h'),
    ...files(join(sources, 'include'), '.cuh'),
    ...files(join(packageRoot, 'cuda', 'device'), '.cuh'),
  ])
  const machine = [
    ...files(join(sources, 'machine'), '.cpp'),
    ...files(join(sources, 'runtime'), '.cpp'),
    join(sources, 'kernels', 'harness.cpp'),
  ].map((source) => step(source, ['-O2']))
  const kernels = files(join(sources, 'kernels'), '.cu').map((source) => step(source, kernelFlags))
  await inParallel([...machine, ...kernels].filter((one) => !isNewer(one, headers)))
  const programs = new Map<string, string>()
  for (const kernel of kernels) {
    const program = kernel.object.replace(/\.o$/, '')
    const objects = [kernel, ...machine].map((one) => one.object)
    if (!existsSync(program) || newest(objects) > statSync(program).mtimeMs)
      await run(['-o', program, ...objects, '-pthread'])
    programs.set(program.slice(program.lastIndexOf('-') + 1), program)
  }
  return programs
}

function step(source: string, flags: readonly string[]): Step {
  const name = source.slice(sources.length + 1).replace(/[/\\]/g, '-')
  return { source, flags, object: join(output, name.replace(/\.(cpp|cu)$/, '.o')) }
}

function files(folder: string, extension: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(extension))
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .sort()
}

function newest(paths: readonly string[]): number {
  return Math.max(...paths.map((path) => statSync(path).mtimeMs))
}

function isNewer({ object, source }: Step, headers: number): boolean {
  if (!existsSync(object)) return false
  return statSync(object).mtimeMs > Math.max(headers, statSync(source).mtimeMs)
}

async function inParallel(steps: readonly Step[]): Promise<void> {
  const waiting = [...steps]
  const work = async () => {
    for (let one = waiting.shift(); one; one = waiting.shift())
      await run([...common, ...one.flags, ...include, one.source, '-o', one.object])
  }
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, work))
}

function run(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('g++', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let messages = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      messages += text
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`g++ ${args.join(' ')}\n${messages.slice(0, 2000)}`))
    })
  })
}
