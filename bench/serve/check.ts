/** What a check of a server finds: figures, and whether they are as they have to be. */
import { three } from '../../ts/cli/format.js'

export interface CheckResult {
  readonly passed: boolean
  readonly figures: Readonly<Record<string, number | string>>
  /** What is not as it has to be. */
  readonly failures: readonly string[]
}

export interface Findings {
  /** Something to know. */
  figure(name: string, value: number | string): void
  /** A figure that has to be below `limit`. */
  below(name: string, value: number, limit: number): void
  /** A figure that has to be `expected`. */
  exactly(name: string, value: number, expected: number): void
  /** A failure that is no figure. */
  fail(what: string): void
  result(): CheckResult
}

export function createFindings(): Findings {
  const figures: Record<string, number | string> = {}
  const failures: string[] = []
  const figure = (name: string, value: number | string): void => {
    const isCount = typeof value === 'string' || Number.isInteger(value)
    figures[name] = isCount ? value : Number(value.toPrecision(4))
  }
  return {
    figure,
    below: (name, value, limit) => {
      figure(name, value)
      // Also where there is no number at all.
      if (!(value < limit)) failures.push(`${name}: ${three(value)}, expected below ${limit}`)
    },
    exactly: (name, value, expected) => {
      figure(name, value)
      if (value !== expected) failures.push(`${name}: ${value}, expected ${expected}`)
    },
    fail: (what) => void failures.push(what),
    result: () => ({ passed: failures.length === 0, figures, failures }),
  }
}

/** How often each key came. */
export function createCounts(): {
  readonly add: (key: string | number) => void
  readonly of: (key: string | number) => number
  readonly text: () => string
} {
  const counts = new Map<string, number>()
  return {
    add: (key) => void counts.set(String(key), (counts.get(String(key)) ?? 0) + 1),
    of: (key) => counts.get(String(key)) ?? 0,
    text: () =>
      [...counts]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, count]) => `${key} x ${count}`)
        .join(', '),
  }
}

/** The value that a share of the others, 0 to 1, does not exceed; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}
