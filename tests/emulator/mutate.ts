/**
 * Mutation test of the kernels: takes out each barrier, wait, commit, arrival and fence in turn, rebuilds what includes
 * the file and runs the tests that reach it with the emulator's checks. A mutant that no test notices must be in
 * equivalent-mutants.json with the reason why it changes nothing.
 *
 *   node dist/tests/emulator/mutate.js [--list] [--only TEXT]... [--match TITLE]... [--report FILE] [FILE...]
 *
 * Needs the emulated addon (npm run build -- --emulated). Without files: all of cuda/. --only: mutants in whose line of
 * --list one of the texts occurs. --match: these op tests instead of mutant-tests.ts's. --report: adds the outcomes to a JSON
 * file. --name: of the folder in build/, for several runs at a time. --unverified: do not run the tests without a mutant first.
 * Exit status 1 when a mutant survives without a reason, or one with a reason is caught.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { commit } from '../../bench/machine.js'
import { packageRoot } from '../../ts/native.js'
import { type MutantBuild, prepareBuild } from './mutant-build.js'
import { addToReport, equivalentMutants, type Outcome } from './mutant-report.js'
import {
  configurations,
  opTests,
  type Reach,
  reachOf,
  runTests,
  type Tests,
} from './mutant-tests.js'
import { findMutants, keyOf, type Mutant } from './mutants.js'

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      list: { type: 'boolean' },
      only: { type: 'string', multiple: true },
      match: { type: 'string', multiple: true },
      report: { type: 'string' },
      name: { type: 'string', default: '' },
      unverified: { type: 'boolean' },
    },
  })
  const files = positionals.length > 0 ? positionals : kernelFiles()
  const mutants = files
    .flatMap((file) => findMutants(file, readFileSync(join(packageRoot, file), 'utf8')))
    .filter((mutant) => values.only?.some((text) => describe(mutant).includes(text)) ?? true)
  if (values.list) {
    for (const mutant of mutants) console.log(describe(mutant))
    return
  }
  const given = values.match && { tests: [opTests(...values.match)] }
  const chosen = (file: string) => given ?? reachOf(file)
  if (!values.unverified)
    for (const tests of new Set(mutants.flatMap(({ file }) => chosen(file).tests)))
      requirePassing(tests)
  const reasons = equivalentMutants()
  const build = prepareBuild(values.name)
  const outcomes: Outcome[] = []
  const unexplained: string[] = []
  for (const mutant of mutants) {
    const caughtBy = tryMutant(build, mutant, chosen(mutant.file))
    const outcome = { mutant, caughtBy }
    outcomes.push(outcome)
    const reason = reasons[keyOf(mutant)]
    const verdict = caughtBy ? 'caught' : reason ? 'equivalent' : 'SURVIVED'
    if (!caughtBy && !reason) unexplained.push(`survived without a reason: ${describe(mutant)}`)
    if (caughtBy && reason)
      unexplained.push(`listed as equivalent, but caught: ${describe(mutant)}`)
    console.log(`${verdict} ${describe(mutant)} ${caughtBy ?? ''}`)
    if (values.report) addToReport(values.report, [outcome], commit())
  }
  const caught = outcomes.filter(({ caughtBy }) => caughtBy !== undefined)
  console.log(`${mutants.length} mutants, ${caught.length} caught`)
  for (const line of unexplained) console.log(line)
  if (unexplained.length > 0) process.exitCode = 1
}

function describe(mutant: Mutant): string {
  return `${mutant.file}:${mutant.line} ${keyOf(mutant).slice(mutant.file.length + 2)}`
}

function kernelFiles(): string[] {
  return readdirSync(join(packageRoot, 'cuda'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.cuh?$/.test(name) && !/^device\/(ptx|wgmma)\.cuh$/.test(name))
    .map((name) => `cuda/${name}`)
    .sort()
}

/** Tests that fail without any mutation would seem to catch them all. */
function requirePassing(tests: Tests): void {
  for (const configuration of configurations) {
    const failed = runTests('emulated', tests, configuration)
    if (failed) throw new Error(`${tests.script} ${tests.match} fails without a mutant: ${failed}`)
  }
}

/** What notices the mutant. */
function tryMutant(
  build: MutantBuild,
  mutant: Mutant,
  { tests, objects = /./ }: Reach,
): string | undefined {
  return build.tryWith(mutant, objects, () => {
    for (const configuration of configurations)
      for (const one of tests) {
        const failed = runTests(build.variant, one, configuration)
        if (failed) return failed
      }
    return undefined
  })
}

main()
