/** What stands in a sidecar: lines of text that other trainers read too, or a JSON object. */
import { DataError } from '../errors.js'
import type { ExistingRule, WrittenCaption } from './destination.js'

/**
 * A caption a line, below those of `old`; one that is there already does not come twice.
 *
 * @param old  what the file holds, where captions are added to it
 */
export function textSidecar(captions: readonly WrittenCaption[], old = ''): string {
  const lineEnd = old.includes('\r\n') ? '\r\n' : '\n'
  const there = new Set(old.split(/\r?\n/).map((line) => line.trim()))
  const added = [...new Set(captions.map(({ text }) => text))].filter(
    (text) => !there.has(text.trim()),
  )
  const start = old === '' || old.endsWith('\n') || added.length === 0 ? old : old + lineEnd
  return start + added.map((text) => text + lineEnd).join('')
}

/**
 * `{ image, caption, score, captions? }`: all captions where there are several, those of `old` first when they are
 * added to.
 *
 * @throws DataError when the file holds anything else, which is then not replaced
 */
export function jsonSidecar(
  captions: readonly WrittenCaption[],
  { image, old, output, ifExists }: JsonSidecarOptions,
): string {
  const earlier = old === undefined ? [] : captionsIn(old, output)
  const all = ifExists === 'append' ? [...earlier, ...captions] : captions
  const different = all.filter(({ text }, i) => all.findIndex((other) => other.text === text) === i)
  const [best] = different
  const row = {
    image,
    caption: best?.text,
    score: best?.score,
    ...(different.length > 1 ? { captions: different } : {}),
  }
  return `${JSON.stringify(row, null, 2)}\n`
}

interface JsonSidecarOptions {
  readonly image: string
  readonly old: string | undefined
  /** The file's name for messages. */
  readonly output: string
  readonly ifExists: ExistingRule
}

function captionsIn(text: string, output: string): WrittenCaption[] {
  let row: unknown
  try {
    row = JSON.parse(text)
  } catch {
    row = undefined
  }
  const [first] = scoredText(row, 'caption')
  if (!first)
    throw new DataError(
      `${output} holds no caption, so it is not replaced. Move it away, or choose another --extension`,
    )
  const { captions } = row as { captions?: unknown }
  return Array.isArray(captions) ? captions.flatMap((item) => scoredText(item, 'text')) : [first]
}

function scoredText(value: unknown, key: 'caption' | 'text'): WrittenCaption[] {
  if (typeof value !== 'object' || value === null) return []
  const { [key]: text, score } = value as Record<string, unknown>
  return typeof text === 'string' ? [{ text, score: typeof score === 'number' ? score : 0 }] : []
}
