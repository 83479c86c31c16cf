/** Builds the emulated addon once more with a mutant in it: only the objects that include the mutated file, and the link. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { packageRoot } from '../../ts/native.js'
import { type Mutant, mutate } from './mutants.js'

const buildFolder = join(packageRoot, 'build', 'emulated', 'build')

/** The compile command of an object and the files it includes. */
interface ObjectFile {
  readonly object: string
  readonly source: string
  readonly command: string
  readonly includes: ReadonlySet<string>
}

export interface MutantBuild {
  /** CAPTIONEER_VARIANT of the addon with the mutant. */
  readonly variant: string
  /**
   * Runs `work` with the mutant built into the objects so named.
   *
   * @throws Error when it does not compile
   */
  tryWith<T>(mutant: Mutant, objects: RegExp, work: () => T): T
}

/**
 * A copy of cuda/ to mutate, beside links to what it includes. Several may be at work, each with a name of its own.
 *
 * @throws Error when the emulated addon was not built
 */
export function prepareBuild(name: string): MutantBuild {
  if (!existsSync(join(buildFolder, 'compile_commands.json')))
    throw new Error(`${buildFolder} is missing. Build it with: npm run build -- --emulated`)
  const all = objectFiles()
  const variant = `emulated-mutant${name}`
  const folder = join(packageRoot, 'build', variant)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, 'objects'), { recursive: true })
  mkdirSync(join(folder, 'build', 'Release'), { recursive: true })
  cpSync(join(packageRoot, 'cuda'), join(folder, 'cuda'), { recursive: true })
  symlinkSync(join(packageRoot, 'binding'), join(folder, 'binding'))
  const tryWith = <T>(mutant: Mutant, objects: RegExp, work: () => T) => {
    const copy = join(folder, mutant.file)
    const original = readFileSync(copy, 'utf8')
    writeFileSync(copy, mutate(original, mutant))
    try {
      const affected = all.filter(
        ({ object, source, includes }) =>
          (source === mutant.file || includes.has(mutant.file)) && objects.test(object),
      )
      if (affected.length === 0) throw new Error(`no kernel includes ${mutant.file}`)
      rebuild(folder, affected)
      return work()
    } finally {
      writeFileSync(copy, original)
    }
  }
  return { variant, tryWith }
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

/** Compiles the affected objects from the copy and links a second addon. */
function rebuild(folder: string, affected: readonly ObjectFile[]): void {
  let link = ninja('-t', 'commands', 'Release/captioneer.node').trim().split('\n').at(-1) ?? ''
  for (const { object, command, source } of affected) {
    const replaced = join(folder, 'objects', object.replaceAll('/', '-'))
    const compile = command
      .replace(` -o ${object}`, ` -o ${replaced}`)
      .replace(' -O2 ', ' -O1 ')
      .replace(join(packageRoot, source), join(folder, source))
      .replace(`-I${join(packageRoot, 'cuda')} `, `-I${join(folder, 'cuda')} `)
    run(compile)
    link = link.replace(` ${object} `, ` ${replaced} `)
  }
  const addon = join(folder, 'build', 'Release', 'captioneer.node')
  run(link.replace(' -o Release/captioneer.node', ` -o ${addon}`))
}

function run(command: string): void {
  const { status, stderr } = spawnSync(command, {
    shell: true,
    cwd: buildFolder,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${command}\n${stderr}`)
}

function ninja(...args: string[]): string {
  return execFileSync('ninja', args, { cwd: buildFolder, encoding: 'utf8', maxBuffer: 1 << 28 })
}
