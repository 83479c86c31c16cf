/**
 * Makes the clone ready to be carried to a machine that has a GPU and no Node: the addon with its shared libraries beside
 * it, the layout probe, what the probe prints on the emulator, and which commit all that is of.
 */
import { existsSync, readFileSync } from 'node:fs'
import { copyFile, realpath, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { note } from '../../ts/cli/terminal.js'
import { CaptioneerError } from '../../ts/errors.js'
import { packageRoot } from '../../ts/native.js'
import { machineFacts } from '../machine.js'
import { expectedFile, probeProgram } from './probe.js'
import type { Run } from './program.js'

/** Libraries that every Linux of today has in a form that serves; two of Node's own C++ library would not. */
const everywhere = /^(linux-vdso|ld-linux|lib(c|m|dl|pthread|rt|gcc_s|stdc\+\+)\.so)/

const commitFile = join(packageRoot, 'build', 'cuda', 'commit.txt')

export async function prepare(run: Run): Promise<void> {
  const must = mustWith(run)
  for (const variant of ['cuda', 'emulated']) {
    const folder = dirname(probeProgram(variant))
    if (!existsSync(folder))
      throw failure(
        `${folder} is missing. Build it with: npm run build -- ` +
          (variant === 'cuda' ? '--gpu' : '--emulated'),
      )
    await must('cmake', ['--build', folder, '--target', 'probe'])
  }
  await writeFile(expectedFile, await must(probeProgram('emulated'), []))
  await writeFile(commitFile, `${machineFacts().commit}\n`)
  const addon = join(dirname(probeProgram('cuda')), 'Release', 'captioneer.node')
  const libraries = await shipLibraries(addon, must)
  note(`ready: the probe, what it prints on the emulator, and beside the addon ${libraries}`)
}

/** The commit of this clone, or where git cannot tell the one that `prepare` saw. */
export function checkedCommit(): string {
  const { commit } = machineFacts()
  return commit === 'unknown' && existsSync(commitFile)
    ? readFileSync(commitFile, 'utf8').trim()
    : commit
}

/** Copies the shared libraries that `addon` loads to its own folder, where it looks first. */
async function shipLibraries(addon: string, must: Must): Promise<string> {
  const names: string[] = []
  for (const [name, path] of sharedLibraries(await must('ldd', [addon]))) {
    if (dirname(path) !== dirname(addon))
      await copyFile(await realpath(path), join(dirname(addon), name))
    names.push(name)
  }
  return names.join(', ')
}

/** Names and paths of what `ldd` lists, without those that are everywhere. */
export function sharedLibraries(ldd: string): (readonly [name: string, path: string])[] {
  return ldd.split('\n').flatMap((line) => {
    const [, name, path] = /^\s*(\S+) => (\/\S+)/.exec(line) ?? []
    return name && path && !everywhere.test(name) ? [[name, path] as const] : []
  })
}

type Must = (command: string, args: readonly string[]) => Promise<string>

function mustWith(run: Run): Must {
  return async (command, args) => {
    const { status, output } = await run(command, args)
    if (status === 0) return output
    throw failure(`${command} ${args.join(' ')} failed (${status}): ${output.slice(-2000)}`)
  }
}

function failure(reason: string): CaptioneerError {
  return new CaptioneerError('ERR_GPU_CHECK', `gpu:check prepare: ${reason}`)
}
