/**
 * `npm run serve:check`: a real server under load, overload, shutdown, attack, and asked by real clients. What is measured
 * is each check's own file; what they are measured with is stage.ts.
 */
import { writeFile } from 'node:fs/promises'
import { Command, InvalidArgumentError } from 'commander'
import { reportFailure } from '../../ts/cli/failure.js'
import { duration } from '../../ts/cli/format.js'
import { deviceOption, wholeNumber } from '../../ts/cli/options.js'
import { note, print } from '../../ts/cli/terminal.js'
import type { DeviceName } from '../../ts/native.js'
import { machineFacts } from '../machine.js'
import type { CheckResult } from './check.js'
import { checkClients } from './clients.js'
import { checkDrain } from './drain.js'
import { checkLoad } from './load.js'
import { checkMutants } from './mutants.js'
import { checkOverload } from './overload.js'
import { type Stage, setStage } from './stage.js'

interface Flags {
  readonly model?: string
  readonly images?: string
  readonly device: DeviceName
  readonly seconds: number
  readonly drains: number
  readonly mutants: number
  readonly bombs: number
  readonly only: readonly CheckName[]
  readonly out?: string
}

const checks = {
  load: (stage: Stage, { seconds }: Flags) => checkLoad(stage, seconds),
  overload: (stage: Stage, { seconds }: Flags) => checkOverload(stage, seconds / 4),
  drain: (stage: Stage, { drains }: Flags) => checkDrain(stage, drains),
  mutants: (stage: Stage, { mutants, bombs }: Flags) => checkMutants(stage, { mutants, bombs }),
  clients: (stage: Stage) => checkClients(stage),
} as const
type CheckName = keyof typeof checks
const names = Object.keys(checks) as CheckName[]

const program = new Command('serve:check')
  .description(
    'Starts `captioneer serve` and checks it: load (nothing lost or mixed up, nothing grows), overload (refused at once), ' +
      'drain (SIGTERM loses nothing), mutants (damaged images, bombs, slow sockets), clients (curl, on port 8012).',
  )
  .option('--model <folder>', 'model or run folder; a small one is trained when left out')
  .option('--images <folder>', 'JPEG, PNG and WebP files; drawn scenes when left out')
  .addOption(deviceOption())
  .option('--seconds <n>', 'of load; overload takes a quarter', wholeNumber(2, 86_400), 120)
  .option('--drains <n>', 'servers that are ended under load', wholeNumber(1, 1000), 20)
  .option('--mutants <n>', 'damaged images', wholeNumber(1, 1_000_000), 2000)
  .option('--bombs <n>', 'bombs and malformed requests', wholeNumber(1, 1_000_000), 200)
  .option('--only <list>', `some of ${names.join(',')}`, chosen, names)
  .option('--out <file>', 'the results, JSON')
  .addHelpText(
    'after',
    `
It needs Linux and, for clients, curl. The exit code is 1 when a check failed. Times and memory mean something on a
machine that does nothing else.

Examples:
  npm run serve:check
  npm run serve:check -- --seconds 10 --drains 3 --only load,drain
  npm run serve:check -- --model ./runs/first --images ./photos --out serve-check.json`,
  )
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .action(run)

async function run(flags: Flags): Promise<void> {
  note('preparing: a model, pictures, and their captions without a server')
  const stage = await setStage(flags)
  const results: Record<string, CheckResult & { readonly seconds: number }> = {}
  try {
    const different = new Set(stage.pictures.map(({ caption }) => JSON.stringify(caption))).size
    note(`${stage.pictures.length} pictures with ${different} different captions or scores`)
    for (const name of flags.only) {
      note(`checking ${name}`)
      const started = performance.now()
      const result = await checks[name](stage, flags)
      const seconds = Math.round((performance.now() - started) / 100) / 10
      results[name] = { ...result, seconds }
      show(name, result, seconds)
      if (!result.passed) process.exitCode = 1
    }
  } finally {
    stage.captioner.close()
    await stage.end()
    // What was measured until something failed is worth keeping.
    if (flags.out !== undefined)
      await writeFile(flags.out, `${JSON.stringify({ ...machineFacts(), results }, null, 2)}\n`)
  }
}

function show(name: string, { passed, figures, failures }: CheckResult, seconds: number): void {
  const facts = Object.entries(figures).map(([key, value]) => `${key} ${value}`)
  print(`${passed ? 'passed' : 'FAILED'} ${name} in ${duration(seconds)}: ${facts.join('; ')}`)
  for (const failure of failures.slice(0, 20)) print(`  ${failure}`)
  if (failures.length > 20) print(`  and ${failures.length - 20} more`)
}

function chosen(words: string): CheckName[] {
  return words.split(',').map((word) => {
    const name = names.find((one) => one === word)
    if (name) return name
    throw new InvalidArgumentError(`Expected some of ${names.join(',')}.`)
  })
}

program.parseAsync().catch((error: unknown) => {
  process.exitCode = reportFailure(error, false)
})
