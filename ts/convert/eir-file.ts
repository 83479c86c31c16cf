/** EIR's YAML files as flat lists of keys. What the keys mean here is eir-keys.ts. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { ArgumentError, argumentError } from '../errors.js'
import { systemReason } from '../files/system-error.js'

/** One key of a file: its name, where it stands (`optimization.lr`), and its value: never a section. */
export interface EirKey {
  readonly name: string
  readonly place: string
  readonly value: unknown
}

/**
 * The keys of a file in its order. Sections are looked into whatever their names, as they differ between versions of
 * EIR and the keys do not.
 *
 * @throws ArgumentError when the file cannot be read, or holds no YAML of keys and values
 */
export function readEirFile(path: string): EirKey[] {
  let content: unknown
  try {
    content = parse(readFileSync(path, 'utf8'), { logLevel: 'error' })
  } catch (cause) {
    const reason = systemReason(cause) ?? `not valid YAML: ${(cause as Error).message}`
    throw new ArgumentError(`reading ${path}: ${reason}`, { cause })
  }
  if (!isSection(content))
    throw argumentError(
      `reading ${path}`,
      'the file',
      'a list of "key: value" as EIR has it',
      content,
    )
  return keysOf(content, '')
}

function keysOf(section: object, prefix: string): EirKey[] {
  return Object.entries(section).flatMap(([name, value]) =>
    isSection(value)
      ? keysOf(value, `${prefix}${name}.`)
      : [{ name, place: `${prefix}${name}`, value }],
  )
}

function isSection(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
