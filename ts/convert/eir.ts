/**
 * EIR's four YAML files as one config of ours: the preset eir-resnet18 and what differs from it. The keys are
 * eir-keys.ts. What cannot be taken over is told, never left out in silence.
 */
import { dirname, relative, resolve, sep } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { stringify } from 'yaml'
import { argumentError, nearest } from '../errors.js'
import { resolveConfig } from '../train/resolve-config.js'
import { type EirKey, readEirFile } from './eir-file.js'
import { type EirKeys, fusionKeys, globalKeys, inputKeys, outputKeys } from './eir-keys.js'

/** Paths of the four files. */
export interface EirFiles {
  readonly globals: string
  readonly inputs: string
  readonly fusion: string
  readonly output: string
}

/** What became of them. */
export interface EirConversion {
  /** Preset and settings, as YAML of a config holds them. */
  readonly config: Readonly<Record<string, unknown>>
  /** Keys that became nothing here or something else than in EIR, with the reason. */
  readonly notTaken: readonly string[]
  /** Keys that EIR's captioning configs do not have. */
  readonly unknown: readonly string[]
}

const preset = 'eir-resnet18'

/**
 * @throws ArgumentError for a file that is no such YAML, a value that no captioner of ours can have, or one out of range
 */
export function convertEir(files: EirFiles): EirConversion {
  const parts = [
    { file: files.globals, keys: readEirFile(files.globals), known: globalKeys },
    { file: files.inputs, keys: readEirFile(files.inputs), known: inputKeys },
    { file: files.fusion, keys: readEirFile(files.fusion), known: fusionKeys },
    { file: files.output, keys: readEirFile(files.output), known: outputKeys },
  ]
  const [, inputs, , output] = parts
  const taken = parts.map((part) => takeOver(part.file, part.keys, part.known))
  const settings: Record<string, unknown> = Object.assign({}, ...taken.map((t) => t.settings))
  settings['data.path'] = dataPath(
    pathOf(files.inputs, inputs?.keys ?? [], 'input_source'),
    pathOf(files.output, output?.keys ?? [], 'output_source'),
  )
  return {
    config: { preset, ...nested(differing(settings)) },
    notTaken: taken.flatMap((t) => t.notTaken),
    unknown: taken.flatMap((t) => t.unknown),
  }
}

/** The YAML of a conversion. */
export function eirYaml({ config }: EirConversion): string {
  return `# From EIR's configs, by captioneer convert eir.\n${stringify(config)}`
}

function takeOver(file: string, keys: readonly EirKey[], { rules, defaults }: EirKeys) {
  const settings: Record<string, unknown> = {}
  const notTaken: string[] = []
  const unknown: string[] = []
  const given = keys.filter(({ name, place }) => {
    if (Object.hasOwn(rules, name)) return true
    const near = nearest(name, Object.keys(rules))
    unknown.push(`${file}: ${place}${near === undefined ? '' : ` (did you mean ${near}?)`}`)
    return false
  })
  const values = new Map([
    ...Object.entries(defaults),
    ...given.map(({ name, value }) => [name, value] as const),
  ])
  for (const [name, value] of values) {
    const place = given.find((key) => key.name === name)?.place
    const result = rules[name]?.(value, values, `${file}: ${place ?? name}`)
    Object.assign(settings, result?.settings)
    if (result?.reason !== undefined)
      notTaken.push(
        `${file}: ${place ?? `${name} (EIR's default, ${JSON.stringify(value)})`}: ${result.reason}`,
      )
  }
  return { settings, notTaken, unknown }
}

/** The settings that the preset does not have already. @throws ArgumentError for one out of range */
function differing(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const plain = resolveConfig({ preset, overrides: { 'data.path': settings['data.path'] } })
  const whole = resolveConfig({ preset, overrides: settings })
  return Object.fromEntries(
    Object.keys(settings)
      .filter((key) => key === 'data.path' || !isDeepStrictEqual(at(plain, key), at(whole, key)))
      .map((key) => [key, at(whole, key)]),
  )
}

function at(config: unknown, key: string): unknown {
  return key.split('.').reduce<unknown>((section, name) => {
    return (section as Record<string, unknown> | undefined)?.[name]
  }, config)
}

function nested(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const root: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(settings)) {
    const names = key.split('.')
    const last = names.pop() ?? ''
    const section = names.reduce<Record<string, unknown>>((outer, name) => {
      outer[name] ??= {}
      return outer[name] as Record<string, unknown>
    }, root)
    section[last] = value
  }
  return root
}

function pathOf(file: string, keys: readonly EirKey[], name: string): string {
  const value = keys.find((key) => key.name === name)?.value
  if (typeof value !== 'string' || value === '')
    throw argumentError('convert eir', `${file}: ${name}`, 'a path', value)
  return value
}

/** The folder that holds both the images and the table of captions, written as EIR's files write theirs. */
function dataPath(images: string, captions: string): string {
  let folder = dirname(captions)
  while (!isWithin(images, folder) && dirname(folder) !== folder && folder !== '.')
    folder = dirname(folder)
  return folder
}

function isWithin(path: string, folder: string): boolean {
  const way = relative(resolve(folder), resolve(path))
  return way !== '..' && !way.startsWith(`..${sep}`)
}
