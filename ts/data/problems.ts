/** What is wrong with a data set, counted while it is read, with a few examples; nothing is printed. */

/** One kind of fault: how often it was met, and up to five places. */
export interface DataProblem {
  readonly kind: string
  readonly count: number
  readonly examples: readonly string[]
}

export type ProblemKind =
  | 'captions without an image'
  | 'images without captions'
  | 'images outside the given splits'
  | 'images given in two splits'
  | 'different images with one id'
  | 'empty captions'
  | 'duplicate captions'
  | 'unreadable rows'
  | 'unreadable files'
  | 'wrong encoding'

export interface Problems {
  add(kind: ProblemKind, example: string): void
  /** Most frequent first. */
  list(): readonly DataProblem[]
}

const MAX_EXAMPLES = 5

export function createProblems(): Problems {
  const found = new Map<ProblemKind, { count: number; examples: string[] }>()
  return {
    add(kind, example) {
      const problem = found.get(kind) ?? { count: 0, examples: [] }
      found.set(kind, problem)
      problem.count++
      if (problem.examples.length < MAX_EXAMPLES) {
        problem.examples.push(example.length > 160 ? `${example.slice(0, 157)}...` : example)
      }
    },
    list: () => [...found].map(([kind, p]) => ({ kind, ...p })).sort((a, b) => b.count - a.count),
  }
}
