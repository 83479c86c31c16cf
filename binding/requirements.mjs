// What compiling the addon needs of a machine, all of it looked for at once, so that nobody is told of one thing at a time.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'

/** Debian's and Ubuntu's package for each, where there is one. */
const debian = {
  compiler: 'g++',
  cmake: 'cmake',
  ninja: 'ninja-build',
  onednn: 'libdnnl-dev',
}

/**
 * @param {{ root: string, gpu: boolean }} what the package's folder, and whether CUDA kernels are to be compiled
 * @returns {string | undefined} what is missing and how to get it; undefined when nothing is
 */
export function whatIsMissing({ root, gpu }) {
  const missing = []
  const need = (name, sentence) => missing.push({ name, sentence })
  const compiler = process.env.CXX ?? (process.platform === 'darwin' ? 'clang++' : 'g++')
  const compilerVersion = version(compiler, ['-dumpfullversion', '-dumpversion'])
  if (!compilerVersion) need('compiler', `a C++ compiler: ${compiler} is not on the PATH`)
  else if (compiler.includes('g++') && compilerVersion[0] < 12)
    need(
      'compiler',
      `GCC 12 or newer: ${compiler} is ${compilerVersion.join('.')} (or name another with CXX=g++-12)`,
    )
  const cmake = version('cmake', ['--version'])
  if (!cmake || cmake[0] < 3 || (cmake[0] === 3 && cmake[1] < 22))
    need(
      'cmake',
      cmake ? `CMake 3.22 or newer: this one is ${cmake.join('.')}` : 'CMake 3.22 or newer',
    )
  if (!version('ninja', ['--version']) && !version('make', ['--version']))
    need('ninja', 'ninja or make')
  if (!hasOnednn()) need('onednn', 'oneDNN 2.6 or 3 with its headers (dnnl.hpp)')
  const nvcc = join(process.env.CUDA_HOME ?? '/usr/local/cuda', 'bin/nvcc')
  if (gpu && !existsSync(nvcc) && !version('nvcc', ['--version']))
    need(
      'nvcc',
      'the CUDA toolkit 12.8 or newer (nvcc): https://developer.nvidia.com/cuda-downloads',
    )
  for (const name of ['cmake-js', 'node-addon-api'])
    if (!resolves(name, root)) need(name, `the npm package ${name}`)
  return missing.length === 0 ? undefined : describe(missing, root)
}

function describe(missing, root) {
  const system = missing.flatMap(({ name }) => debian[name] ?? [])
  const packages = missing
    .map(({ name }) => name)
    .filter((name) => /^(cmake-js|node-addon-api)$/.test(name))
  return [
    'this machine lacks what the addon is compiled with:',
    ...missing.map(({ sentence }) => `  - ${sentence}`),
    ...(system.length > 0
      ? [`On Debian 12, Ubuntu 24.04 and newer, as root: apt-get install ${system.join(' ')}`]
      : []),
    ...(packages.length > 0
      ? [
          `In the folder of your package.json: npm install --save-dev ${packages.map((name) => `${name}@8`).join(' ')}`,
        ]
      : []),
    ...(existsSync(join(root, 'captioneer-setup'))
      ? ['Or all of it in one go: ./captioneer-setup']
      : []),
  ].join('\n')
}

function hasOnednn() {
  // CMake looks there too.
  const prefixes = (process.env.CMAKE_PREFIX_PATH ?? '').split(delimiter).filter(Boolean)
  return [
    '/usr/include',
    '/usr/local/include',
    '/opt/homebrew/include',
    ...prefixes.map((prefix) => join(prefix, 'include')),
  ].some((folder) =>
    ['dnnl.hpp', 'oneapi/dnnl/dnnl.hpp'].some((name) => existsSync(join(folder, name))),
  )
}

/** The first version number that a program prints; undefined when it does not start. */
function version(command, args) {
  const { stdout } = spawnSync(command, args, { encoding: 'utf8' })
  return /(\d+)(?:\.(\d+))*/
    .exec(stdout ?? '')?.[0]
    .split('.')
    .map(Number)
}

function resolves(name, root) {
  try {
    createRequire(join(root, 'package.json')).resolve(`${name}/package.json`)
    return true
  } catch {
    return false
  }
}
