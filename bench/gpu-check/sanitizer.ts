/** compute-sanitizer over the samples of every op, one tool a piece: it runs kernels 10 to 100 times slower. */
import { compiled, testArguments } from './conformance.js'
import { tooLong } from './program.js'
import type { Outcome, Piece } from './results.js'
import { readTap } from './tap.js'

const tools = ['memcheck', 'racecheck', 'synccheck', 'initcheck'] as const

export const sanitizers: Readonly<Record<string, Piece>> = Object.fromEntries(
  tools.map((tool): [string, Piece] => [
    `sanitizer-${tool}`,
    async (run) => {
      const { status, output } = await run('compute-sanitizer', [
        ...['--tool', tool, '--target-processes', 'all', '--print-limit', '20'],
        process.execPath,
        ...testArguments([compiled('ops/ops')], ['*forward', '*gradients']),
      ])
      return readSanitizer(status, output)
    },
  ]),
)

/**
 * What a tool found. Every process that it followed, Node's without a GPU too, ends with a summary of its own. Tests fail
 * under a tool only where it changes results, which they then tell.
 */
export function readSanitizer(status: number, output: string): Outcome {
  const lines = output.split('\n').filter((line) => line.startsWith('========='))
  const summaries = lines.filter((line) => / SUMMARY: /.test(line))
  const clean = summaries.every((line) => /SUMMARY: 0 (errors|hazards)/.test(line))
  const { passed, failed } = readTap(output)
  // The text of a report begins without an indentation; what follows says where.
  const reports = new Map<string, number>()
  for (const line of lines.filter(
    (text) => /^=+ [A-Z]/.test(text) && !/SUMMARY|^=+ COMPUTE/.test(text),
  ))
    reports.set(line, (reports.get(line) ?? 0) + 1)
  const late = status === tooLong
  return {
    passed: !late && clean && summaries.length > 0 && failed.length === 0 && passed > 0,
    summary:
      `${passed} tests passed, ${failed.length} failed; ` +
      (late ? 'not all of them in time; ' : '') +
      (summaries.length > 0
        ? [...new Set(summaries.map((line) => line.replace(/^=+ /, '')))].join('; ')
        : `no summary, ${reports.size} kinds of reports`),
    details: { status, failed, reports: Object.fromEntries([...reports].slice(0, 40)) },
  }
}
