/** Rows of comma- or tab-separated text (RFC 4180), forgiving about quotes that nobody closed. */

export interface CsvRow {
  /** Line on which the row starts, from 1. */
  readonly line: number
  readonly fields: readonly string[]
}

/** A quote that stays open for more lines than this is taken for a plain character. */
const MAX_LINES = 20

/**
 * Quoted fields may hold separators, line ends and doubled quotes. A quote that is not closed within
 * 20 lines, or not before a separator or line end, belongs to the text: one stray quote must not
 * swallow the rows after it. Blank lines are left out.
 */
export function* parseCsv(text: string, separator: string): Generator<CsvRow> {
  let at = 0
  let line = 1
  while (at < text.length) {
    const start = at
    const fields: string[] = []
    for (;;) {
      const close = text[at] === '"' ? closingQuote(text, at, separator) : -1
      const end = close < 0 ? endOfField(text, at, separator) : close + 1
      fields.push(close < 0 ? text.slice(at, end) : text.slice(at + 1, close).replaceAll('""', '"'))
      at = end + 1
      if (text[end] !== separator) break
    }
    if (text[at - 1] === '\r' && text[at] === '\n') at++
    if (fields.length > 1 || fields[0] !== '') yield { line, fields }
    for (let i = text.indexOf('\n', start); i >= 0 && i < at; i = text.indexOf('\n', i + 1)) line++
  }
}

function endOfField(text: string, from: number, separator: string): number {
  let at = from
  while (at < text.length && text[at] !== separator && text[at] !== '\n' && text[at] !== '\r') at++
  return at
}

/** Where the field that the quote at `open` starts is closed, or -1. */
function closingQuote(text: string, open: number, separator: string): number {
  let lines = 0
  for (let at = open + 1; at < text.length && lines <= MAX_LINES; at++) {
    if (text[at] === '\n') lines++
    if (text[at] !== '"') continue
    const next = text[at + 1]
    if (next === '"') at++
    else return next === undefined || next === separator || /[\r\n]/.test(next) ? at : -1
  }
  return -1
}
