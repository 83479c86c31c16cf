/** The options of a request, from form fields and query: snake_case as HTTP has it, or camelCase as TypeScript has it. */
import { z } from 'zod'
import { decodingRanges } from '../decoding/generation.js'
import type { CaptionOptions } from '../decoding/options.js'
import { ArgumentError, argumentError, nearest } from '../errors.js'
import { flag } from '../schema.js'

/** What a request asks for, besides its images. */
export interface CaptionFields {
  readonly model: string | undefined
  readonly stream: boolean
  readonly options: CaptionOptions
}

const ranges: Readonly<Record<string, z.ZodType>> = {
  model: z
    .string()
    .regex(/^[\w.-]{1,64}$/)
    .describe('the id of a model: 1 to 64 letters, digits, "_", "." or "-"'),
  stream: flag(),
  attention: flag(),
  ...decodingRanges,
}

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const optionNames = new Map(
  Object.keys(ranges).flatMap((name) => [[name, name] as const, [snakeCase(name), name] as const]),
)

/** The fields in snake_case, with the JSON schema of each. */
export const fieldSchemas: Readonly<Record<string, object>> = Object.fromEntries(
  Object.entries(ranges).map(([name, range]) => {
    const { $schema: _, ...schema } = z.toJSONSchema(range)
    return [snakeCase(name), schema]
  }),
)

/**
 * @param given names and values as they came; the empty value of all but the prefix is taken for none, as HTML forms send it
 * @throws ArgumentError for an unknown name, one given twice, or a value out of its range
 */
export function captionFields(given: Iterable<readonly [string, string]>): CaptionFields {
  const values = new Map<string, unknown>()
  for (const [field, text] of given) {
    const name = optionNames.get(field)
    const range = name === undefined ? undefined : ranges[name]
    if (name === undefined || range === undefined) throw unknownField(field)
    if (values.has(name)) throw new ArgumentError(`caption: ${field} is given twice`)
    if (text === '' && name !== 'prefix') continue
    const value = parsed(range, text)
    if (!range.safeParse(value).success)
      throw argumentError('caption', field, range.description ?? 'valid', text)
    values.set(name, value)
  }
  const { model, stream = false, ...options } = Object.fromEntries(values)
  // Each value has been checked by the range of its name.
  return { model, stream, options } as CaptionFields
}

function parsed(range: z.ZodType, text: string): unknown {
  if (range instanceof z.ZodString) return text
  if (range instanceof z.ZodBoolean)
    return /^(true|1)$/i.test(text) ? true : /^(false|0)$/i.test(text) ? false : text
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : text
}

function unknownField(field: string): ArgumentError {
  const names = Object.keys(fieldSchemas)
  const near = nearest(field, [...names, 'file'])
  if (near === undefined)
    return new ArgumentError(
      `caption: unknown field "${field.slice(0, 100)}"; expected one of file, ${names.join(', ')}`,
    )
  const range = ranges[optionNames.get(near) ?? '']?.description
  const expected = range === undefined ? '' : ` (${range})`
  return new ArgumentError(
    `caption: unknown field "${field.slice(0, 100)}"; did you mean "${near}"${expected}?`,
  )
}
