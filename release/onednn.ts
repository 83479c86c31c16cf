/**
 * oneDNN as a static library with nothing in it but what cpu/ calls: convolutions, inner products, reorders and sgemm in
 * float32. A whole one is 40 MB and brings a GPU runtime.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { releaseFolder } from './packages.js'
import { run } from './run.js'
import { sysrootDefinitions } from './sysroot.js'

const options = [
  'DNNL_LIBRARY_TYPE=STATIC',
  'DNNL_CPU_RUNTIME=OMP',
  'DNNL_GPU_RUNTIME=NONE',
  'ONEDNN_BUILD_GRAPH=OFF',
  'DNNL_BUILD_DOC=OFF',
  'DNNL_BUILD_EXAMPLES=OFF',
  'DNNL_BUILD_TESTS=OFF',
  'DNNL_ENABLE_PRIMITIVE=CONVOLUTION;INNER_PRODUCT;REORDER',
  // AMX would be for bfloat16 and int8, which are not computed with it.
  'DNNL_ENABLE_PRIMITIVE_CPU_ISA=AVX512',
  'ONEDNN_ENABLE_GEMM_KERNELS_ISA=AVX512',
  // Profilers' hooks.
  'DNNL_ENABLE_JIT_PROFILING=OFF',
  'DNNL_ENABLE_ITT_TASKS=OFF',
  // For every x86-64: its fast code is made at run time, for the processor at hand.
  'DNNL_ARCH_OPT_FLAGS=',
  // What nothing calls can be left out of the addon.
  'CMAKE_CXX_FLAGS=-ffunction-sections -fdata-sections',
  'CMAKE_POSITION_INDEPENDENT_CODE=ON',
  'CMAKE_BUILD_TYPE=Release',
]

/**
 * Compiles it unless that was done, which takes an hour of one core.
 *
 * @returns a folder with include/, lib/libdnnl.a and notices/, the licences to hand on
 */
export function buildOnednn({
  source,
  sysroot,
  jobs,
}: {
  readonly source: string | undefined
  readonly sysroot: string | undefined
  readonly jobs: string
}): string {
  const folder = join(releaseFolder, 'onednn')
  const definitions = [...options, ...sysrootDefinitions(sysroot)]
  const made = join(folder, 'made-with.json')
  const recipe = `${JSON.stringify(definitions, undefined, 1)}\n`
  if (existsSync(made) && readFileSync(made, 'utf8') === recipe) return folder
  if (source === undefined)
    throw new Error(
      `${existsSync(made) ? 'oneDNN was built with other options' : 'oneDNN is not built yet'}: say where its source is with --onednn (see --help)`,
    )
  const from = resolve(source)
  if (!existsSync(join(from, 'include/oneapi/dnnl/dnnl.hpp')))
    throw new Error(
      `--onednn: expected the source of oneDNN 2.6 or 3, there is no include/oneapi/dnnl/dnnl.hpp in ${from}`,
    )
  const build = join(folder, 'build')
  rmSync(made, { force: true })
  mkdirSync(build, { recursive: true })
  const definitionFlags = definitions.map((text) => `-D${text}`)
  run('cmake', [
    '-S',
    from,
    '-B',
    build,
    '-G',
    'Ninja',
    `-DCMAKE_INSTALL_PREFIX=${folder}`,
    ...definitionFlags,
  ])
  run('cmake', ['--build', build, '--parallel', jobs])
  run('cmake', ['--install', build])
  for (const name of ['LICENSE', 'THIRD-PARTY-PROGRAMS'])
    cpSync(join(from, name), join(folder, 'notices', `oneDNN-${name}.txt`))
  writeFileSync(made, recipe)
  return folder
}
