/** Numbers, tables and commands as people read them. */
import { isAbsolute, relative } from 'node:path'

/** `1234567` as `1,234,567`. */
export function thousands(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

/** `1 caption`, `1,234 captions`. */
export function counted(count: number, noun: string): string {
  return `${thousands(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** A rate or a loss with three significant digits, more before the point: `0.0312`, `41.2`, `1,234`. */
export function three(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  return Math.abs(value) >= 1000 ? thousands(value) : value.toPrecision(3)
}

/** A large count with its unit: `3.63 G`, `41.9 k`, `12`. */
export function metric(count: number): string {
  const units = ['', ' k', ' M', ' G', ' T']
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3))
  return power === 0 ? String(count) : `${(count / 1000 ** power).toPrecision(3)}${units[power]}`
}

/** `1.50 GiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  return power === 0 ? `${bytes} B` : `${(bytes / 1024 ** power).toFixed(2)} ${units[power]}`
}

/** Seconds as `0:07`, `12:05` or `1:00:09`. */
export function clock(seconds: number): string {
  const whole = Math.round(seconds)
  const two = (n: number) => String(n).padStart(2, '0')
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60]
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}

/** A length of time: `0.31 s`, `12:05 min`, `1:00:09 h`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${three(seconds)} s`
  return `${clock(seconds)} ${seconds < 3600 ? 'min' : 'h'}`
}

/** Rows with their columns aligned: the first to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...rows.map((row) => row[i]?.length ?? 0)),
  )
  const cell = (text: string, i: number) =>
    i === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[i] ?? 0)
  return rows.map((row) => row.map(cell).join('  ').trimEnd()).join('\n')
}

/** A path as the user would type it: relative where it lies below the current folder. */
export function shownPath(path: string): string {
  const near = relative('.', path)
  return near === '' ? '.' : near.startsWith('..') || isAbsolute(near) ? path : near
}

/** Words as one line for a POSIX shell. */
export function shellLine(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ')
}
