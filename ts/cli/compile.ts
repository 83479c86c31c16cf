/** `captioneer compile`: builds the native addon from the sources in the package, where no ready build fits the machine. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Command } from 'commander'
import { ArgumentError } from '../errors.js'
import { packageRoot } from '../package-root.js'
import { exitCodes } from './failure.js'
import { print } from './terminal.js'

const help = `
It takes a minute; with --gpu, an hour for all kinds of GPU, minutes for one. What is missing for it is said before it begins.
Afterwards captioneer takes this build before a package of the same kind. Deleting the build folder in the package undoes it.

Examples:
  captioneer compile
  captioneer compile --gpu --architectures 90a
`

export function addCompileCommand(program: Command): void {
  program
    .command('compile')
    .summary('build the native addon on this machine')
    .description(
      'Compile the native addon from the sources in the package: for machines that no ready build fits.',
    )
    .option('--gpu', 'with kernels for NVIDIA GPUs: needs the CUDA toolkit')
    .option('--architectures <list>', 'compute capabilities for --gpu, e.g. 80,90a (all)')
    .addHelpText('after', help)
    .action(async ({ gpu, architectures }: { gpu?: true; architectures?: string }) => {
      if (architectures !== undefined && !gpu)
        throw new ArgumentError('compile: --architectures is of --gpu, which is not given')
      const words = [
        '--native',
        ...(gpu ? ['--gpu'] : []),
        ...(architectures === undefined ? [] : ['--architectures', architectures]),
      ]
      const script = join(packageRoot, 'binding/build.mjs')
      const child = spawn(process.execPath, [script, ...words], { stdio: 'inherit' })
      const [code] = (await once(child, 'close')) as [number | null]
      if (code === 0) print('Compiled. captioneer doctor says which build is loaded.')
      else process.exitCode = code ?? exitCodes.failure
    })
}
