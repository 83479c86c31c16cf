/**
 * `npm run gpu:check`: everything that only a real GPU can say of this build, in pieces that each end in time. The
 * machine with the GPU needs the driver, Node and this folder as built; `prepare` makes it so elsewhere.
 */
import { Command } from 'commander'
import { reportFailure } from '../../ts/cli/failure.js'
import { wholeNumber } from '../../ts/cli/options.js'
import { note } from '../../ts/cli/terminal.js'
import { ArgumentError } from '../../ts/errors.js'
import { openDevice } from '../../ts/native.js'
import { machineFacts } from '../machine.js'
import { benchmarks } from './benchmarks.js'
import { conformance } from './conformance.js'
import { checkedCommit, prepare } from './prepare.js'
import { probe } from './probe.js'
import { chooseChecked, createRun, type Run } from './program.js'
import { keepPiece, type Outcome, type Piece } from './results.js'
import { sanitizers } from './sanitizer.js'
import { training } from './training.js'

/** In this order: the later ones mean nothing where an earlier one failed. */
const pieces = new Map<string, Piece>(
  Object.entries({ probe, conformance, train: training, ...benchmarks, ...sanitizers }),
)
const names = [...pieces.keys()]

interface Flags {
  readonly out: string
  readonly log?: string
  readonly limit: number
}

const program = new Command('gpu:check')
  .description('Checks and measures this build on the GPU of this machine.')
  .argument('[pieces...]', `prepare, or some of: ${names.join(', ')}; all of these unless given`)
  .option(
    '--out <file>',
    'the results, JSON; what other pieces wrote there is kept',
    'gpu-check.json',
  )
  .option('--log <file>', 'add all that the pieces print to this file')
  .option('--limit <seconds>', 'of each piece', wholeNumber(1, 86_400), 530)
  .addHelpText(
    'after',
    `
Examples:
  npm run gpu:check -- prepare           build what the machine with the GPU needs, on one with nvcc
  npm run gpu:check
  npm run gpu:check -- probe conformance --out results.json
  CAPTIONEER_PYTHON=python3 npm run gpu:check -- bench-train-resnet18`,
  )
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .action(check)

async function check(wanted: readonly string[], { out, log, limit }: Flags): Promise<void> {
  const run = createRun(limit, log)
  if (wanted.includes('prepare')) return prepare(run)
  const chosen = (wanted.length === 0 ? names : wanted).map((name) => {
    const piece = pieces.get(name)
    if (piece) return { name, piece }
    throw new ArgumentError(
      `gpu:check: no piece is called ${name}. Expected some of: prepare, ${names.join(', ')}`,
    )
  })
  const { device, variant } = chooseChecked()
  const { description } = openDevice(device)
  note(description)
  for (const { name, piece } of chosen) {
    const started = performance.now()
    const outcome = await ended(piece, run)
    const seconds = Math.round((performance.now() - started) / 100) / 10
    const facts = { gpu: description, variant, ...machineFacts(), commit: checkedCommit() }
    await keepPiece(out, name, { ...facts, seconds, ...outcome })
    note(`${outcome.passed ? 'passed' : 'FAILED'} ${name} in ${seconds} s: ${outcome.summary}`)
    if (!outcome.passed) process.exitCode = 1
  }
}

async function ended(piece: Piece, run: Run): Promise<Outcome> {
  try {
    return await piece(run)
  } catch (error) {
    return { passed: false, summary: error instanceof Error ? error.message : String(error) }
  }
}

program.parseAsync().catch((error: unknown) => {
  process.exitCode = reportFailure(error, false)
})
