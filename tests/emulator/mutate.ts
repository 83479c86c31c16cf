/**
 * Mutation test of the kernels: takes out each barrier, wait, commit and fence in turn, rebuilds what includes the file
 * and runs the op tests with the emulator's checks. A mutant that no test notices must be in equivalent-mutants.json with
 * the reason why it changes nothing.
 *
 *   node dist/tests/emulator/mutate.js [--list] [--match 'layerNorm*']... [cuda/norm.cu ...]
 *
 * Needs the emulated addon's build folder (build/emulated). Without files: all of cuda/. With --match only those op
 * tests run; without, the tests that `testsOf` names for the file. Exit status 1 when a mutant survives without a reason, or
 * a listed one is gone.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../../ts/native.js'
import { findMutants, keyOf, type Mutant, mutate } from './mutants.js'

const buildFolder = join(packageRoot, 'build', 'emulated', 'build')
const mutantVariant = 'emulated-mutant'
const workFolder = join(packageRoot, 'build', mutantVariant)
const addon = join(workFolder, 'build', 'Release', 'captioneer.node')
const limit = 10 * 60 * 1000

/** Settings under which each mutant runs, until one notices it. */
const configurations = [
  { schedule: 'fifo', async: 'lazy' },
  { schedule: 'random', async: 'random' },
  { schedule: 'reverse', async: 'eager' },
]

interface Tests {
  readonly script: string
  /** Titles; all when empty. */
  readonly match: readonly string[]
}

const opTests = (...match: string[]): Tests => ({ script: 'ops/ops.test.js', match })
const allOpTests = opTests()

/** The tests that reach a file; files not named here are reached by all op tests. */
const testsOf: readonly (readonly [RegExp, Tests])[] = [
  [/cuda\/attention_cache/, { script: 'decoding/attend-cache.test.js', match: [] }],
  [/cuda\/search/, { script: 'decoding/search.test.js', match: [] }],
  [/cuda\/optimizer/, { script: 'train/optimizer.test.js', match: [] }],
  [/cuda\/attention/, opTests('*Attention*')],
  [/cuda\/fold_batch_norm/, opTests('foldBatchNorm*')],
  [/cuda\/convolution_batch_norm/, opTests('convolutionBatchNorm*')],
  [/cuda\/(depthwise|convolution|gemm\/.*convolution)/, opTests('convolution*')],
  [/cuda\/dropout/, opTests('dropout*')],
  [/cuda\/embedding/, opTests('embedding*')],
  [/cuda\/image/, opTests('normalizeImage*')],
  [/cuda\/linear_cross_entropy/, opTests('linearCrossEntropy*', 'tokenLoss*')],
  [/cuda\/linear/, opTests('linear*')],
  [/cuda\/gemm/, opTests('linear*', 'convolution*')],
  [/cuda\/norm/, opTests('layerNorm*', 'rmsNorm*')],
  [/cuda\/pooling/, opTests('*Pool*')],
]

interface Outcome {
  readonly caught: boolean
  readonly how: string
}

/** The compile command of an object and the files it includes. */
interface ObjectFile {
  readonly object: string
  readonly source: string
  readonly command: string
  readonly includes: ReadonlySet<string>
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { list: { type: 'boolean' }, match: { type: 'string', multiple: true } },
  })
  const files = positionals.length > 0 ? positionals : kernelFiles()
  const mutants = files.flatMap((file) => findMutants(file, readKernel(file)))
  if (values.list) {
    for (const mutant of mutants) console.log(`${mutant.file}:${mutant.line} ${keyOf(mutant)}`)
    return
  }
  const reasons = JSON.parse(
    readFileSync(join(packageRoot, 'tests/emulator/equivalent-mutants.json'), 'utf8'),
  ) as Record<string, string>
  const given = values.match && opTests(...values.match)
  const chosen = (file: string) => given ?? testsFor(file)
  for (const tests of new Set(mutants.map(({ file }) => chosen(file)))) requirePassing(tests)
  const objects = objectFiles()
  prepareFolder()
  const surviving: string[] = []
  let caught = 0
  for (const mutant of mutants) {
    const outcome = tryMutant(mutant, objects, chosen(mutant.file))
    const reason = reasons[keyOf(mutant)]
    caught += Number(outcome.caught)
    if (!outcome.caught && reason === undefined) surviving.push(keyOf(mutant))
    const verdict = outcome.caught ? 'caught' : reason ? 'equivalent' : 'SURVIVED'
    console.log(`${verdict} ${mutant.file}:${mutant.line} ${mutant.statement} ${outcome.how}`)
  }
  console.log(`${mutants.length} mutants, ${caught} caught, ${surviving.length} survived`)
  const keys = new Set(mutants.map(keyOf))
  const gone = Object.keys(reasons).filter(
    (key) => files.some((file) => key.startsWith(`${file}:`)) && !keys.has(key),
  )
  for (const key of surviving) console.log(`survived without a reason: ${key}`)
  for (const key of gone) console.log(`in equivalent-mutants.json but not in the code: ${key}`)
  if (surviving.length + gone.length > 0) process.exitCode = 1
}

function kernelFiles(): string[] {
  return readdirSync(join(packageRoot, 'cuda'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.cuh?$/.test(name) && !/^device\/(ptx|wgmma)\.cuh$/.test(name))
    .map((name) => `cuda/${name}`)
    .sort()
}

function readKernel(file: string): string {
  return readFileSync(join(packageRoot, file), 'utf8')
}

function testsFor(file: string): Tests {
  return testsOf.find(([pattern]) => pattern.test(file))?.[1] ?? allOpTests
}

/** Tests that fail without any mutation would seem to catch them all. */
function requirePassing(tests: Tests): void {
  for (const configuration of configurations) {
    const failed = runTests('emulated', tests, configuration)
    if (failed) throw new Error(`${tests.script} ${tests.match} fails without a mutant: ${failed}`)
  }
}

function objectFiles(): ObjectFile[] {
  const commands = JSON.parse(readFileSync(join(buildFolder, 'compile_commands.json'), 'utf8')) as {
    command: string
    file: string
  }[]
  const includes = new Map<string, Set<string>>()
  let object = ''
  for (const line of ninja('-t', 'deps').split('\n')) {
    if (!line.startsWith(' ')) object = line.split(':')[0] ?? ''
    else {
      const files = includes.get(object) ?? new Set()
      includes.set(object, files.add(relative(packageRoot, line.trim())))
    }
  }
  return commands
    .filter(({ file }) => file.endsWith('.cu'))
    .map(({ command, file }) => {
      const name = / -o (\S+)/.exec(command)?.[1] ?? ''
      return {
        object: name,
        source: relative(packageRoot, file),
        command,
        includes: includes.get(name) ?? new Set<string>(),
      }
    })
}

/** A copy of cuda/ to mutate, beside links to what it includes. */
function prepareFolder(): void {
  rmSync(workFolder, { recursive: true, force: true })
  mkdirSync(join(workFolder, 'objects'), { recursive: true })
  mkdirSync(join(workFolder, 'build', 'Release'), { recursive: true })
  cpSync(join(packageRoot, 'cuda'), join(workFolder, 'cuda'), { recursive: true })
  symlinkSync(join(packageRoot, 'binding'), join(workFolder, 'binding'))
}

function tryMutant(mutant: Mutant, objects: readonly ObjectFile[], tests: Tests): Outcome {
  const copy = join(workFolder, mutant.file)
  const original = readKernel(mutant.file)
  writeFileSync(copy, mutate(original, mutant))
  try {
    const affected = objects.filter(
      ({ source, includes }) => source === mutant.file || includes.has(mutant.file),
    )
    if (affected.length === 0) return { caught: false, how: 'no kernel includes this file' }
    const failure = rebuild(affected)
    if (failure) return { caught: true, how: `does not compile: ${failure}` }
    for (const configuration of configurations) {
      const failed = runTests(mutantVariant, tests, configuration)
      if (failed) return { caught: true, how: failed }
    }
    return { caught: false, how: '' }
  } finally {
    writeFileSync(copy, original)
  }
}

/** Compiles the affected objects from the copy and links a second addon. The compiler's message when it fails. */
function rebuild(affected: readonly ObjectFile[]): string | undefined {
  let link = ninja('-t', 'commands', 'Release/captioneer.node').trim().split('\n').at(-1) ?? ''
  for (const { object, command, source } of affected) {
    const replaced = join(workFolder, 'objects', object.replaceAll('/', '-'))
    const compile = command
      .replace(` -o ${object}`, ` -o ${replaced}`)
      .replace(join(packageRoot, source), join(workFolder, source))
      .replace(`-I${join(packageRoot, 'cuda')} `, `-I${join(workFolder, 'cuda')} `)
    const { status, stderr } = spawnSync(compile, {
      shell: true,
      cwd: buildFolder,
      encoding: 'utf8',
    })
    if (status !== 0) return stderr.split('\n').find((line) => line.includes('error')) ?? stderr
    link = link.replace(` ${object} `, ` ${replaced} `)
  }
  link = link.replace(' -o Release/captioneer.node', ` -o ${addon}`)
  const { status, stderr } = spawnSync(link, { shell: true, cwd: buildFolder, encoding: 'utf8' })
  return status === 0 && existsSync(addon) ? undefined : stderr
}

/** What the first failing test says, or nothing when all pass. */
function runTests(
  variant: string,
  { script, match }: Tests,
  { schedule, async }: { schedule: string; async: string },
): string | undefined {
  const { status, stdout } = spawnSync(
    process.execPath,
    [
      join(packageRoot, 'node_modules/ava/entrypoints/cli.mjs'),
      `dist/tests/${script}`,
      '--fail-fast',
      '--timeout=10m',
      ...match.map((pattern) => `--match=${pattern}`),
    ],
    {
      cwd: packageRoot,
      encoding: 'utf8',
      timeout: limit,
      env: {
        ...process.env,
        CAPTIONEER_VARIANT: variant,
        CAPTIONEER_TEST_DEVICE: 'cuda',
        CAPTIONEER_EMULATOR_CHECK: '1',
        CAPTIONEER_EMULATOR_SCHEDULE: schedule,
        CAPTIONEER_EMULATOR_ASYNC: async,
      },
    },
  )
  if (status === 0) return undefined
  const text = stdout.split('\n').find((line) => /message:|block \(|differs|expected/.test(line))
  return `(${schedule}, ${async}) ${text?.trim().slice(0, 200) ?? 'the tests stopped'}`
}

function ninja(...args: string[]): string {
  return execFileSync('ninja', args, { cwd: buildFolder, encoding: 'utf8', maxBuffer: 1 << 28 })
}

main()
