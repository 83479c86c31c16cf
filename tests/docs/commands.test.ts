/**
 * Command lines in the documents: commands, flags and their values are those of the commands themselves, whose work is taken
 * away; config keys are checked as a run would check them. Scripts of npm and programs of examples/ exist.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { Command, CommanderError } from 'commander'
import { configFlags } from '../../ts/cli/config-flags.js'
import { packageRoot } from '../../ts/native.js'
import { resolveConfig } from '../../ts/train/resolve-config.js'
import { allPages } from './pages.js'
import { commandsOf, type ShellCommand } from './shell.js'

const pages = allPages()
const commands = pages.flatMap(({ blocks }) =>
  blocks.filter(({ language }) => language === 'sh').flatMap(commandsOf),
)
const scripts = Object.keys(
  JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')).scripts,
)

/** Words after `captioneer`, however it is started. */
function wordsOf({ words }: ShellCommand): readonly string[] | undefined {
  const start = words[0] === 'npx' ? 1 : 0
  return words[start] === 'captioneer' ? words.slice(start + 1) : undefined
}

/** The whole command line interface; `run` is called instead of each command's work. */
async function program(run: (command: Command) => void): Promise<Command> {
  const root = new Command('captioneer').exitOverride().configureOutput({
    writeOut: () => {},
    writeErr: () => {},
  })
  const folder = join(packageRoot, 'dist/ts/cli')
  for (const file of readdirSync(folder).filter(
    (name) => name.endsWith('.js') && name !== 'main.js',
  )) {
    const module: Record<string, unknown> = await import(join(folder, file))
    for (const [name, add] of Object.entries(module))
      if (/^add\w+Command$/.test(name) && typeof add === 'function') add(root)
  }
  for (const command of leaves(root)) command.action(() => run(command))
  return root
}

function leaves({ commands: inner }: Command): Command[] {
  return inner.flatMap((command) => (command.commands.length > 0 ? leaves(command) : [command]))
}

/** Config keys among the flags of `train` and `inspect`, as a run resolves them; and whether a fixed encoder has weights. */
function checkKeys(command: Command): void {
  if (command.name() !== 'train' && command.name() !== 'inspect') return
  const rest = command.args.slice(command.registeredArguments.length)
  const keys = configFlags(command, rest)
  const given: Record<string, unknown> = command.opts()
  const names = [
    'preset',
    'epochs',
    'maxSteps',
    'maxSeconds',
    'freezeEncoder',
    'device',
    'seed',
    'batchSize',
  ]
  const flags = Object.fromEntries(
    names.filter((name) => given[name] !== undefined).map((name) => [name, String(given[name])]),
  )
  // A model to start from is read only when all of it must fit.
  const init = given.init === undefined ? {} : { init: '.', initStrict: false }
  const config = resolveConfig({
    flags: { ...flags, ...keys },
    overrides: { 'data.path': '.', ...init },
  })
  const needsWeights = command.name() === 'train' && config.freezeEncoder && given.image !== false
  if (needsWeights && !given.encoderWeights && !given.init && !given.config)
    throw new Error(`${config.preset} keeps its encoder: it needs --encoder-weights`)
}

/** Examples in the help of the commands. */
async function helpLines(): Promise<ShellCommand[]> {
  return leaves(await program(() => {})).flatMap((command) => {
    let help = ''
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
    const code = help.split('\n').filter((line) => /^ {2}(\S.*)?captioneer /.test(line))
    return commandsOf({ place: `${command.name()} --help`, language: 'sh', code: code.join('\n') })
  })
}

test('every `captioneer ...` line is one that the command takes', async (t) => {
  const lines = [...commands, ...(await helpLines())].flatMap((command) => {
    const words = wordsOf(command)
    return words ? [{ place: command.place, words }] : []
  })
  t.true(lines.length > 50)
  const wrong: string[] = []
  for (const { place, words } of lines) {
    const root = await program(checkKeys)
    try {
      await root.parseAsync([...words], { from: 'user' })
    } catch (error) {
      const asked = error instanceof CommanderError && error.exitCode === 0
      if (!asked) wrong.push(`${place}: captioneer ${words.join(' ')}: ${(error as Error).message}`)
    }
  }
  t.deepEqual(wrong, [])
})

test('commands that are named within a line exist', async (t) => {
  const names = new Set((await program(() => {})).commands.map((command) => command.name()))
  const wrong = pages.flatMap(({ path, inlineCode }) =>
    inlineCode.flatMap((code) => {
      const named = /^(?:npx )?captioneer ([a-z]\S*)/.exec(code)?.[1]
      return named === undefined || names.has(named) ? [] : [`${path}: ${code}`]
    }),
  )
  t.deepEqual(wrong, [])
  t.true(names.has('train') && names.has('caption'))
})

test('scripts of npm and programs of this repository exist', (t) => {
  const wrong = commands.flatMap(({ place, words: [first = '', second = '', third = ''] }) => {
    if (first === 'npm' && second === 'run' && !scripts.includes(third))
      return [`${place}: npm run ${third}`]
    const source = second.replace(/^dist\//, '').replace(/\.js$/, '.ts')
    if (first === 'node' && second.startsWith('dist/') && !existsSync(join(packageRoot, source)))
      return [`${place}: ${second}`]
    return []
  })
  t.deepEqual(wrong, [])
})

test('a flag, key, value or command that is not there is found', async (t) => {
  const check = async (line: string) => {
    const [command] = commandsOf({ place: '', language: 'sh', code: line })
    const root = await program(checkKeys)
    await root.parseAsync([...(command?.words.slice(1) ?? [])], { from: 'user' })
  }
  for (const line of [
    'captioneer caption photo.jpg --model run --bean 3',
    'captioneer captoin photo.jpg',
    'captioneer train --data x --optimizer.learningRat 1',
    'captioneer train --data x --ema 2',
    'captioneer train --data x',
    'captioneer evaluate --model run --data x --split all',
    'captioneer inspect tiny --model.decoder.layer 3',
  ])
    await t.throwsAsync(check(line), undefined, line)
  await check('A=1 captioneer train --data "a b" --seq_length 36 \\\n --preset tiny # words').catch(
    t.fail,
  )
})
