/** `captioneer bench`: hands over to bench/main.ts, which is a program of its own, `npm run bench` in a clone. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Command } from 'commander'
import { packageRoot } from '../package-root.js'
import { exitCodes } from './failure.js'

export function addBenchCommand(program: Command): void {
  program
    .command('bench')
    .summary('measure speeds, beside PyTorch where it is there')
    // Its flags and its help are the program's.
    .helpOption(false)
    .allowUnknownOption()
    .argument('[what...]')
    .action(async (words: readonly string[]) => {
      const script = join(packageRoot, 'dist/bench/main.js')
      const child = spawn(process.execPath, [script, ...words], { stdio: 'inherit' })
      // Ctrl-C reaches both; the program ends, and then this.
      process.on('SIGINT', () => {})
      const [code] = (await once(child, 'close')) as [number | null]
      process.exitCode = code ?? exitCodes.interrupted
    })
}
