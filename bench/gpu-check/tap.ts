/** What ava's TAP output says of tests, also when it was cut off. */

export interface TapCounts {
  readonly passed: number
  readonly skipped: number
  /** Titles of those that failed. */
  readonly failed: readonly string[]
}

export function readTap(output: string): TapCounts {
  const lines = output.split('\n')
  const titles = (start: RegExp) =>
    lines.filter((line) => start.test(line)).map((line) => line.replace(start, ''))
  const ended = titles(/^ok \d+ (- )?/)
  const skipped = ended.filter((title) => title.includes('# SKIP')).length
  return { passed: ended.length - skipped, skipped, failed: titles(/^not ok \d+ (- )?/) }
}
