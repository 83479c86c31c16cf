// npm run build: compiles the native addon and the TypeScript. What is compiled how is in CMakeLists.txt; this
// chooses the variant, reads what ptxas says of each kernel and fails when one spills registers.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { whatIsMissing } from './requirements.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const usage = `Usage: npm run build -- [--gpu [--architectures LIST] [--line-info] | --emulated] [--native]

Builds the native addon and the TypeScript.

  --gpu                  with the CUDA kernels, in build/cuda: needs the CUDA toolkit (nvcc), no GPU
  --architectures LIST   compute capabilities for --gpu, separated by commas: 80, 86, 89, 90a, 100, 120 (all of them
                         unless given)
  --line-info            line numbers in the kernels of --gpu, for compute-sanitizer and profilers
  --emulated             with the CUDA kernels on the CPU, in build/emulated: for tests
  --native               the addon alone

Examples:
  npm run build
  npm run build -- --gpu
  npm run build -- --gpu --architectures 90a
`

const allArchitectures = '80,86,89,90a,100,120'

/** ptxas says so when it makes wgmma wait for each other: the pipeline would be lost. */
const serialised = /C7508|C7510/

const { values: flags } = parseArguments()
if (flags.help) {
  process.stdout.write(usage)
} else {
  process.exitCode = await build()
}

function parseArguments() {
  const options = {
    gpu: { type: 'boolean' },
    emulated: { type: 'boolean' },
    architectures: { type: 'string' },
    'line-info': { type: 'boolean', default: false },
    native: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  }
  try {
    return parseArgs({ options })
  } catch (error) {
    process.stderr.write(`build: ${error.message}\n\n${usage}`)
    process.exit(2)
  }
}

async function build() {
  const variant = flags.gpu ? 'cuda' : flags.emulated ? 'emulated' : 'cpu'
  if (flags.architectures && !/^\d+a?(,\d+a?)*$/.test(flags.architectures)) {
    process.stderr.write(
      `build: expected --architectures like 80,90a, received ${flags.architectures}\n`,
    )
    return 2
  }
  const missing = whatIsMissing({ root, gpu: variant === 'cuda' })
  if (missing) {
    process.stderr.write(`build: ${missing}\n`)
    return 1
  }
  const started = performance.now()
  const status = await buildNative(variant)
  if (status !== 0 || flags.native) return status
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  console.log(`build: build/${variant} in ${seconds} s; now TypeScript`)
  return run('npm', ['run', '--silent', 'build:ts']).status ?? 1
}

async function buildNative(variant) {
  const folder = join('build', variant, 'build')
  const definitions = {
    cpu: [],
    cuda: [
      '--CDCAPTIONEER_GPU=ON',
      `--CDCAPTIONEER_LINE_INFO=${flags['line-info'] ? 'ON' : 'OFF'}`,
      // Said each time: CMake would keep those of the last build.
      `--CDCAPTIONEER_ARCHITECTURES=${(flags.architectures ?? allArchitectures).replaceAll(',', ';')}`,
    ],
    emulated: ['--CDCAPTIONEER_EMULATED=ON'],
  }[variant]
  const cores = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(availableParallelism())
  const began = performance.now()
  const report = variant === 'cuda' ? new Map() : undefined
  const { status, problems } = await compile(
    ['build', '--out', folder, '--parallel', cores, ...definitions],
    report,
  )
  if (status !== 0) return status
  if (!report) return 0
  const kernels = keepReport(report, join(root, 'build', variant, 'kernels.json'))
  const seconds = (performance.now() - began) / 1000
  return judge(kernels, problems, report.size, seconds)
}

/** Runs cmake-js; ptxas' lines go into `report`, every other line to the terminal. */
function compile(args, report) {
  const problems = []
  let kernel
  const take = (line) => {
    if (!report) return process.stdout.write(`${line}\n`)
    if (serialised.test(line)) problems.push(line.trim())
    const entry = /Compiling entry function '(\w+)' for '(\w+)'/.exec(line)
    const spills =
      /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line)
    const used = /Used (\d+) registers(?:.*?(\d+) bytes smem)?/.exec(line)
    if (entry) {
      kernel = { symbol: entry[1], architecture: entry[2] }
      report.set(`${entry[1]} ${entry[2]}`, kernel)
    } else if (spills && kernel) {
      Object.assign(kernel, {
        stackBytes: Number(spills[1]),
        spillBytes: Number(spills[2]) + Number(spills[3]),
      })
    } else if (used && kernel) {
      Object.assign(kernel, { registers: Number(used[1]), sharedBytes: Number(used[2] ?? 0) })
    } else if (!/^ptxas info|^\s*$/.test(line)) {
      process.stdout.write(`${line}\n`)
    }
  }
  return new Promise((resolve) => {
    // Not in node_modules/.bin where captioneer itself is an installed package.
    const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js')
    const child = spawn(process.execPath, [cmakeJs, ...args], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr]) {
      let rest = ''
      stream.setEncoding('utf8')
      stream.on('data', (text) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop() ?? ''
        lines.forEach(take)
      })
      stream.on('end', () => rest && take(rest))
    }
    child.on('close', (status) => resolve({ status: status ?? 1, problems }))
  })
}

/** Adds what was compiled now to what earlier builds of unchanged files said. */
function keepReport(report, path) {
  const known = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : []
  const all = new Map(known.map((kernel) => [`${kernel.symbol} ${kernel.architecture}`, kernel]))
  for (const [key, kernel] of report) all.set(key, kernel)
  const kernels = [...all.values()]
  const names = readable(kernels.map(({ symbol }) => symbol))
  kernels.forEach((kernel, i) => {
    kernel.name = names[i]
  })
  kernels.sort((a, b) => (`${a.name} ${a.architecture}` < `${b.name} ${b.architecture}` ? -1 : 1))
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `[\n${kernels.map((kernel) => JSON.stringify(kernel)).join(',\n')}\n]\n`)
  return kernels
}

/** C++ names where c++filt is there, without namespaces and parameters. */
function readable(symbols) {
  if (symbols.length === 0) return symbols
  const filter = spawnSync('c++filt', { input: symbols.join('\n'), encoding: 'utf8' })
  if (filter.status !== 0) return symbols
  return filter.stdout
    .trim()
    .split('\n')
    .map((name) =>
      name
        .replace(/^void /, '')
        .replaceAll('cuda::', '')
        .replaceAll('(anonymous namespace)::', '')
        .replace(/\(.*$/s, ''),
    )
}

function judge(kernels, problems, compiled, seconds) {
  const spilling = kernels.filter(({ spillBytes }) => spillBytes > 0)
  const most = Math.max(...kernels.map(({ registers }) => registers ?? 0))
  console.log(
    `build: ${compiled} kernels compiled in ${seconds.toFixed(0)} s; ${kernels.length} in all, at most ${most} ` +
      `registers, ${spilling.length} with spills (build/cuda/kernels.json)`,
  )
  for (const { name, architecture, spillBytes } of spilling)
    process.stderr.write(`build: ${name} for ${architecture} spills ${spillBytes} bytes\n`)
  for (const problem of problems) process.stderr.write(`build: ${problem}\n`)
  return spilling.length + problems.length > 0 ? 1 : 0
}

function run(command, args) {
  return spawnSync(command, args, { cwd: root, stdio: 'inherit' })
}
