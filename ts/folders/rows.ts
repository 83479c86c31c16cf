/**
 * Rows of the files that hold the captions of many pictures: JSON lines, CSV, and figures of an HTML page. Every row
 * ends with a line break, so that what a killed process cut off is recognised and left out.
 */
import { readFile } from 'node:fs/promises'
import { parseCsv } from '../data/csv.js'
import { thumbnail } from '../report/thumbnail.js'
import { captionPage, figureOf, figuresIn, isCaptionPage } from './caption-page.js'
import type { CaptionRow } from './destination.js'

/** What such a file holds, up to the last whole row. */
export interface RowsRead {
  /** What stands above the rows. */
  readonly head: string
  /** Text of the rows, each with its line break; empty when there are none. */
  readonly rows: string
  /** Pictures that have rows. */
  readonly images: ReadonlySet<string>
  /** Whether the file holds something else. */
  readonly foreign: boolean
}

export interface RowFormat {
  /** The rows of one picture, with a line break at their end. */
  write(row: CaptionRow): Promise<string>
  /** @param text of a file, or of rows alone */
  read(text: string): RowsRead
  /** The whole file. @param head of the file that is there, empty when there is none */
  file(head: string, rows: string): string
}

const jsonl: RowFormat = {
  async write({ image, captions }) {
    const [best] = captions
    const others = captions.length > 1 ? { captions } : {}
    return `${JSON.stringify({ image, caption: best?.text, score: best?.score, ...others })}\n`
  },
  read(text) {
    const rows = untorn(text, (line) => imageOfJson(line) !== undefined)
    const lines = rows.split('\n').filter((line) => line.trim() !== '')
    const images = new Set(lines.flatMap((line) => imageOfJson(line) ?? []))
    return { head: '', rows, images, foreign: lines.length > 0 && images.size === 0 }
  },
  file: (head, rows) => head + rows,
}

const csvColumns = ['image', 'caption', 'score']

const csv: RowFormat = {
  async write({ image, captions }) {
    return captions
      .map(({ text, score }) => `${[image, text, score.toFixed(4)].map(csvField).join(',')}\n`)
      .join('')
  },
  read(text) {
    const whole = untorn(text, isWholeCsvRow)
    const [first, ...others] = [...parseCsv(whole.replace(/^\ufeff/, ''), ',')]
    const hasHead = csvColumns.every((name, i) => first?.fields[i] === name)
    const headEnd = hasHead ? whole.indexOf('\n') + 1 : 0
    const found = first && !hasHead ? [first, ...others] : others
    return {
      head: whole.slice(0, headEnd),
      rows: whole.slice(headEnd),
      images: new Set(found.map(({ fields }) => fields[0] ?? '')),
      foreign: first !== undefined && !hasHead,
    }
  },
  file: (head, rows) => (head || `${csvColumns.join(',')}\n`) + rows,
}

const html: RowFormat = {
  async write({ image, path, captions }) {
    const bytes = await readFile(path).catch(() => undefined)
    return `${figureOf({ image, captions, picture: bytes && (await thumbnail(bytes)) })}\n`
  },
  read(text) {
    const figures = figuresIn(text)
    return {
      head: '',
      rows: figures.map(({ markup }) => `${markup}\n`).join(''),
      images: new Set(figures.map(({ image }) => image)),
      foreign: text.trim() !== '' && !isCaptionPage(text),
    }
  },
  file: (_, rows) => captionPage(figuresIn(rows)),
}

export const rowFormats = { jsonl, csv, html } as const

/** A text without a last line that was cut off; one that only lacks its line break gets it. */
function untorn(text: string, isWhole: (line: string) => boolean): string {
  const start = text.lastIndexOf('\n') + 1
  if (start === text.length) return text
  return isWhole(text.slice(start)) ? `${text}\n` : text.slice(0, start)
}

function imageOfJson(line: string): string | undefined {
  try {
    const row: unknown = JSON.parse(line)
    if (typeof row !== 'object' || row === null || !('image' in row)) return undefined
    return typeof row.image === 'string' ? row.image : undefined
  } catch {
    return undefined
  }
}

/** Ends with its score: always four decimals, so that a cut one shows. */
function isWholeCsvRow(line: string): boolean {
  const [, , score = ''] = [...parseCsv(line, ',')][0]?.fields ?? []
  return /^-?\d+\.\d{4}$/.test(score)
}

function csvField(text: string): string {
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
