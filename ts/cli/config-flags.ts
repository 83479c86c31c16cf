/**
 * Flags that are config keys: `--model.decoder.dim=32`, `--optimizer.learningRate 1e-3`, `--seed 1`, and other
 * trainers' names for them. What the keys mean and which values they take is the config's to check.
 */
import type { Command } from 'commander'
import { ArgumentError, nearest, printable } from '../errors.js'
import { expandAliases, flagAliases } from '../train/aliases.js'
import { trainSchema } from '../train/config.js'

/**
 * What commander left over of a command line, as values by config key, still text. A flag without a value is true.
 *
 * @param command a command that allows unknown options
 * @param rest    its arguments that are neither known flags nor operands
 * @throws ArgumentError for a word that belongs to no flag, an unknown flag near a known one, a key given twice
 */
export function configFlags(command: Command, rest: readonly string[]): Record<string, string> {
  const flags = new Map<string, string>()
  for (let i = 0; i < rest.length; i++) {
    const word = rest[i] ?? ''
    const [, name, inline] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? []
    if (name === undefined) throw unknownWord(command, word)
    checkName(command, name)
    if (flags.has(name)) throw new ArgumentError(`${command.name()}: --${name} is given twice`)
    const next = rest[i + 1]
    if (inline !== undefined) flags.set(name, inline)
    else if (next === undefined || next.startsWith('--')) flags.set(name, 'true')
    else {
      flags.set(name, next)
      i++
    }
  }
  return expandAliases(Object.fromEntries(flags))
}

function unknownWord(command: Command, word: string): ArgumentError {
  const what = word.startsWith('-') ? 'unknown flag' : 'unexpected argument'
  return new ArgumentError(`${command.name()}: ${what} ${printable(word)}. ${help(command)}`)
}

// A dotted name can only be meant as a config key, and the config names the nearest one itself.
function checkName(command: Command, name: string): void {
  const keys = Object.keys(trainSchema.unwrap().shape)
  const known = [...keys, ...flagAliases.keys()]
  if (name.includes('.') || known.includes(name)) return
  const flags = command.options.map(({ long }) => (long ?? '').slice(2))
  const near = nearest(name, [...flags, ...known])
  if (near === undefined) return
  throw new ArgumentError(
    `${command.name()}: unknown flag --${name}; did you mean --${near}? ${help(command)}`,
  )
}

function help(command: Command): string {
  return `All flags: captioneer ${command.name()} --help`
}
