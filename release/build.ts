/**
 * npm run release:build: builds of the addon that run on other machines, through prebuildify and cmake-js, into
 * build/release/<build>/prebuilds. What goes into which package is packages.ts's.
 */
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../ts/package-root.js'
import { bundleDevelopmentBuild } from './bundle.js'
import { buildOnednn } from './onednn.js'
import { madeFrom, prebuiltFolder, releaseFolder, sourcesChecksum } from './packages.js'
import { output, run } from './run.js'
import { libraryFolder, prepareSysroot, sysrootDefinitions } from './sysroot.js'

const usage = `Usage: npm run release:build -- [--gpu] [--onednn DIR] [--sysroot DIR] [--jobs N] | --quick

Builds the addon to run on other machines: build/release/cpu, or with --gpu build/release/cuda13 (cuda12 by a toolkit 12).

  --onednn DIR           source of oneDNN 3: needed once, then build/release/onednn is there. It is in
                         github.com/uxlfoundation/oneDNN and in Debian (apt-get source onednn)
  --sysroot DIR          root folder of an old system, whose glibc is then enough to run: one made by
                         "debootstrap --variant=minbase --include=libc6-dev,libgomp1 bullseye DIR" needs glibc 2.27.
                         Without it the build needs this system's glibc
  --gpu                  with the CUDA kernels: needs the CUDA toolkit (nvcc), no GPU
  --architectures LIST   compute capabilities for --gpu, separated by commas
  --jobs N               compile so many files at a time (1)
  --quick                no compiling: the development build, build/cpu, with this system's libraries beside it. For trying
                         packages out, not for publishing
`

try {
  build(readFlags())
} catch (error) {
  process.stderr.write(`release:build: ${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
}

interface Flags {
  readonly gpu: boolean
  readonly quick: boolean
  readonly onednn?: string
  readonly sysroot?: string
  readonly architectures?: string
  readonly jobs: string
}

function readFlags(): Flags {
  try {
    const { values } = parseArgs({
      options: {
        gpu: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        onednn: { type: 'string' },
        sysroot: { type: 'string' },
        architectures: { type: 'string', default: '80,86,89,90a,100,120' },
        jobs: { type: 'string', default: '1' },
      },
    })
    return values as Flags
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${usage}`)
    process.exit(2)
  }
}

function build({ gpu, quick, onednn, sysroot, architectures = '', jobs }: Flags): void {
  if (quick) {
    bundleDevelopmentBuild()
    return
  }
  const root = sysroot === undefined ? undefined : resolve(sysroot)
  if (root !== undefined) prepareSysroot(root)
  const library = buildOnednn({ source: onednn, sysroot: root, jobs })
  const name = gpu ? `cuda${cudaVersion()}` : 'cpu'
  const folder = join(releaseFolder, name)
  const sources = sourcesChecksum()
  mkdirSync(folder, { recursive: true })
  rmSync(join(folder, 'prebuilds'), { recursive: true, force: true })
  // prebuildify names the file after the package that it finds in its working folder.
  writeFileSync(join(folder, 'package.json'), '{ "name": "captioneer" }\n')
  const prebuildify = createRequire(import.meta.url).resolve('prebuildify/bin.js')
  const hook = join(packageRoot, 'release/cmake.mjs')
  run(process.execPath, [prebuildify, '--napi', '--strip', '--node-gyp', hook, '--cwd', folder], {
    env: {
      ...process.env,
      CAPTIONEER_RELEASE: JSON.stringify({
        out: join(folder, 'build'),
        jobs,
        definitions: [
          'CAPTIONEER_PORTABLE=ON',
          `DNNL_INCLUDE=${join(library, 'include')}`,
          `DNNL_LIBRARY=${join(library, 'lib/libdnnl.a')}`,
          ...(gpu
            ? [
                'CAPTIONEER_GPU=ON',
                `CAPTIONEER_ARCHITECTURES=${architectures.replaceAll(',', ';')}`,
              ]
            : []),
          ...sysrootDefinitions(root),
        ],
      }),
    },
  })
  writeFileSync(join(folder, madeFrom), sources)
  copyFileSync(openmpLibrary(root), join(prebuiltFolder(name), 'libgomp.so.1'))
  cpSync(join(library, 'notices'), join(folder, 'notices'), { recursive: true })
  console.log(`release:build: ${prebuiltFolder(name)}`)
}

/** The major version of the toolkit that CMake will find. */
function cudaVersion(): number {
  const home = process.env.CUDA_HOME ?? '/usr/local/cuda'
  const nvcc = existsSync(join(home, 'bin/nvcc')) ? join(home, 'bin/nvcc') : 'nvcc'
  const found = /release (\d+)\./.exec(output(nvcc, ['--version']))
  if (!found) throw new Error(`${nvcc} --version does not say its release`)
  return Number(found[1])
}

/** OpenMP's runtime has to be a shared library: its static one is not made for being part of another. */
function openmpLibrary(sysroot: string | undefined): string {
  if (sysroot !== undefined) return join(libraryFolder(sysroot), 'libgomp.so.1')
  return realpathSync(output('gcc', ['-print-file-name=libgomp.so.1']).trim())
}
