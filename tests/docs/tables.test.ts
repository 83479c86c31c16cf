/** Tables of the documents that list what the code knows: none too few, none too many, the same values. */
import test from 'ava'
import { z } from 'zod'
import * as errors from '../../ts/errors.js'
import { trainSchema } from '../../ts/train/config.js'
import { allPages } from './pages.js'

const text = (path: string) => allPages().find((page) => page.path === path)?.text ?? ''

/** Cells of the tables' rows that begin with code. */
function rows(page: string): string[][] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.slice(2, -2).split(' | '))
}

const bare = (cell = '') => cell.replaceAll('`', '')

test('errors.md: every class with its code, and what to do', (t) => {
  const codes = Object.entries(errors).flatMap(([name, value]) => {
    if (!/^[A-Z]\w*Error$/.test(name) || name === 'CaptioneerError' || typeof value !== 'function')
      return []
    const error: unknown = Reflect.construct(value, ['message', 1])
    return error instanceof errors.CaptioneerError ? [[name, error.code]] : []
  })
  t.true(codes.length >= 9)
  const internal = ['CaptioneerError', errors.internalError('x').code]
  const notFinite = ['CaptioneerError', 'ERR_NOT_FINITE']
  const listed = rows(text('docs/errors.md')).filter(([, code]) => /^`ERR_/.test(code ?? ''))
  const named = listed.map(([name, code]) => [bare(name), bare(code)])
  t.deepEqual(named.sort(), [...codes, internal, notFinite].sort())
  for (const [name, , when, todo] of listed) t.true(when !== '' && (todo ?? '').length > 10, name)
})

test('settings.md: every key with its default', (t) => {
  const keys = new Map(leaves(trainSchema, ''))
  const decoding = [...keys.keys()].filter((key) => key.startsWith('generation.'))
  for (const key of decoding) {
    t.true(text('docs/settings.md').includes(`\`${key.slice('generation.'.length)}\``), key)
    keys.delete(key)
  }
  const listed = rows(text('docs/settings.md')).map(([key, value]): [string, string] => [
    bare(key),
    bare(value),
  ])
  t.deepEqual(listed.sort(), [...keys].sort())
})

/** Dotted keys of a schema, and the default of each as the page writes it. */
function* leaves(schema: z.ZodType, prefix: string): Generator<[string, string]> {
  const section = unwrapped(schema).inner
  if (!(section instanceof z.ZodObject)) return
  for (const [name, child] of Object.entries(section.shape)) {
    const { inner, value } = unwrapped(child)
    const key = prefix === '' ? name : `${prefix}.${name}`
    if (inner instanceof z.ZodObject) yield* leaves(inner, key)
    else yield [key, typeof value === 'string' ? quoted(value) : (JSON.stringify(value) ?? '–')]
  }
}

/** A space would not be seen. */
function quoted(value: string): string {
  return value.trim() === '' ? `"${value}"` : value
}

function unwrapped(schema: unknown): { inner: unknown; value?: unknown } {
  if (schema instanceof z.ZodDefault) {
    const { inner } = unwrapped(schema.unwrap())
    return { inner, value: schema.parse(undefined) }
  }
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodReadonly)
    return unwrapped(schema.unwrap())
  return { inner: schema }
}
