/**
 * Settings from outside, checked by a zod schema: dotted keys, layers of settings merged key by key, and
 * errors that name the key, the valid range and the nearest valid name. Knows no settings itself.
 *
 * A schema is a tree of `z.strictObject`, each optional or not, whose leaves end in `.describe(expected)`;
 * the description is what a message says was expected.
 */
import { z } from 'zod'
import { ArgumentError, argumentError, nearest } from './errors.js'

/** A value, and where it was given, as messages name it: `config`, or a file. */
export interface Setting {
  readonly value: unknown
  readonly from: string
}

/** Settings by dotted key, `optimizer.learningRate`; null stands for "back to the default". */
export type Settings = ReadonlyMap<string, Setting>

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number) {
  return z.int().min(min).max(max).describe(`an integer from ${min} to ${max}`)
}

/** A number from `min` to `max`, both included. */
export function fromTo(min: number, max: number) {
  return z.number().min(min).max(max).describe(`a number from ${min} to ${max}`)
}

/** A number above `min`, at most `max`. */
export function above(min: number, max: number) {
  return z.number().gt(min).max(max).describe(`a number above ${min}, at most ${max}`)
}

/** A number from 0, below 1: a probability or a decay. */
export function belowOne() {
  return z.number().min(0).lt(1).describe('a number from 0, below 1')
}

/** One of a list of words. */
export function oneOf<const T extends readonly [string, ...string[]]>(values: T) {
  return z.enum(values).describe(`one of ${values.map((value) => `"${value}"`).join(', ')}`)
}

/** A text that is not empty, such as a path; `what` is how a message names it. */
export function text(what: string) {
  return z.string().min(1).describe(what)
}

/** Yes or no. */
export function flag() {
  return z.boolean().describe('true or false')
}

/**
 * Nested or dotted settings as one flat list. Values of undefined are left out.
 *
 * @param from  where they were given, for messages
 * @throws ArgumentError for an unknown key, or a section that is not an object
 */
export function flatten(schema: z.ZodType, settings: object, from: string): Settings {
  const keys = keysOf(schema)
  const flat = new Map<string, Setting>()
  const add = (key: string, value: unknown) => {
    const found = keys.get(key)
    if (found === undefined) throw unknownKey(key, keys, from)
    if (value === undefined) return
    if (value === null || !(found instanceof z.ZodObject)) {
      flat.set(key, { value, from })
    } else if (typeof value !== 'object' || Array.isArray(value)) {
      throw argumentError(from, key, `a section with ${Object.keys(found.shape).join(', ')}`, value)
    } else {
      for (const [name, inner] of Object.entries(value)) add(`${key}.${name}`, inner)
    }
  }
  for (const [key, value] of Object.entries(settings)) add(key, value)
  return flat
}

/** Layers of settings as one; later layers win, and null takes a key or section back to its default. */
export function merge(layers: readonly Settings[]): Settings {
  const merged = new Map<string, Setting>()
  for (const [key, setting] of layers.flatMap((layer) => [...layer])) {
    if (setting.value !== null) {
      merged.set(key, setting)
      continue
    }
    for (const known of [...merged.keys()]) {
      if (known === key || known.startsWith(`${key}.`)) merged.delete(known)
    }
  }
  return merged
}

/**
 * The value of a schema from settings, defaults filled in.
 *
 * @throws ArgumentError for a value of the wrong type or out of range, or a missing one
 */
export function build<T extends z.ZodType>(schema: T, settings: Settings): z.output<T> {
  const keys = keysOf(schema)
  for (const [key, { value, from }] of settings) {
    const leaf = keys.get(key)
    if (leaf === undefined) throw unknownKey(key, keys, from)
    if (leaf.safeParse(value).success) continue
    const options = leaf instanceof z.ZodEnum && typeof value === 'string' ? leaf.options : []
    const near = nearest(String(value), options.map(String))
    const error = argumentError(from, key, leaf.description ?? 'valid', value)
    throw near === undefined
      ? error
      : new ArgumentError(`${error.message}; did you mean "${near}"?`)
  }
  const result = schema.safeParse(nest(schema, settings, ''))
  if (result.success) return result.data
  const missing = result.error.issues[0]?.path.join('.') ?? ''
  throw argumentError('config', missing, keys.get(missing)?.description ?? 'given', undefined)
}

/**
 * A value given as text, e.g. by a flag: the text itself where the key takes it, else `parse` of it.
 *
 * @param parse  turns `3`, `true`, `[1, 2]` into values
 */
export function fromText(
  schema: z.ZodType,
  key: string,
  given: string,
  parse: (text: string) => unknown,
): unknown {
  return keysOf(schema).get(key)?.safeParse(given).success ? given : parse(given)
}

// Sections and leaves by dotted key, without their wrappers.
function keysOf(schema: z.ZodType, prefix = ''): Map<string, z.ZodType> {
  const section = bare(schema)
  if (!(section instanceof z.ZodObject)) return new Map()
  return new Map(
    Object.entries(section.shape).flatMap(([name, inner]) => [
      [`${prefix}${name}`, bare(inner)] as const,
      ...keysOf(inner, `${prefix}${name}.`),
    ]),
  )
}

function bare(schema: unknown): z.ZodType {
  const isWrapper =
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodReadonly
  return isWrapper ? bare(schema.unwrap()) : (schema as z.ZodType)
}

// Names come from the schema, never from outside, so a key such as __proto__ cannot get in.
function nest(schema: z.ZodType, settings: Settings, prefix: string): unknown {
  const section = bare(schema)
  if (!(section instanceof z.ZodObject)) return settings.get(prefix)?.value
  const isGiven = [...settings.keys()].some((key) => key.startsWith(`${prefix}.`))
  if (schema instanceof z.ZodOptional && !isGiven) return undefined
  return Object.fromEntries(
    Object.entries(section.shape).map(([name, inner]) => [
      name,
      nest(inner as z.ZodType, settings, prefix === '' ? name : `${prefix}.${name}`),
    ]),
  )
}

function unknownKey(key: string, keys: Map<string, z.ZodType>, from: string): ArgumentError {
  const lastName = (dotted: string) => dotted.slice(dotted.lastIndexOf('.') + 1)
  const all = [...keys.keys()]
  const sameName = nearest(lastName(key), all.map(lastName))
  const near = nearest(key, all) ?? all.find((known) => lastName(known) === sameName)
  if (near === undefined) {
    const top = all.filter((known) => !known.includes('.')).join(', ')
    return new ArgumentError(`${from}: unknown key "${key}"; expected one of ${top}`)
  }
  const expected = keys.get(near)?.description
  const range = expected === undefined ? '' : ` (${expected})`
  return new ArgumentError(`${from}: unknown key "${key}"; did you mean "${near}"${range}?`)
}
