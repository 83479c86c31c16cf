/** Finds the statements of kernel files whose loss a test must notice, and takes them out. */

/** One statement to delete. `occurrence` tells equal statements of a file apart, so that the key outlives other edits. */
export interface Mutant {
  readonly file: string
  readonly line: number
  readonly start: number
  readonly end: number
  readonly statement: string
  readonly occurrence: number
}

/** Calls that order memory or wait; whole statements only, the loop or condition before them stays. */
const ordering = new RegExp(
  [
    '__sync(?:threads|warp)',
    '(?:ptx::)?barrier_(?:sync|arrive)',
    '(?:ptx::)?grid_barrier',
    '(?:ptx::)?mbarrier_(?:wait|init_fence|arrive|arrive_expect_tx)',
    '(?:ptx::)?cp_async_(?:wait|commit|mbarrier_arrive)',
    '(?:ptx::)?bulk_(?:wait|wait_read|commit)',
    '(?:ptx::)?wgmma_(?:fence|wait|commit)',
    '(?:ptx::)?fence_proxy_async',
  ]
    .map((name) => `(?<![\\w:])${name}(?:<[^;{}]*?>)?\\([^;{}]*\\);`)
    .join('|'),
  'g',
)

/** All mutants of a file's text. Definitions and comments have none. */
export function findMutants(file: string, text: string): Mutant[] {
  const code = text.replace(/\/\/[^\n]*/g, (comment) => ' '.repeat(comment.length))
  const seen = new Map<string, number>()
  return [...code.matchAll(ordering)].map((match) => {
    const statement = match[0].replace(/\s+/g, ' ')
    const occurrence = (seen.get(statement) ?? 0) + 1
    seen.set(statement, occurrence)
    return {
      file,
      line: code.slice(0, match.index).split('\n').length,
      start: match.index,
      end: match.index + match[0].length,
      statement,
      occurrence,
    }
  })
}

/** The text without the mutant's statement; line numbers stay. */
export function mutate(text: string, { start, end }: Mutant): string {
  const lines = text.slice(start, end).split('\n').length
  return `${text.slice(0, start)};${'\n'.repeat(lines - 1)}${text.slice(end)}`
}

/** The name of a mutant in equivalent-mutants.json. */
export function keyOf({ file, statement, occurrence }: Mutant): string {
  return `${file}: ${statement} #${occurrence}`
}
