/** What became of each mutant, in a file to which several runs add. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../ts/native.js'
import { findMutants, keyOf, type Mutant } from './mutants.js'

const reasonsFile = join(packageRoot, 'tests/emulator/equivalent-mutants.json')

/** Why mutants that no test can notice change nothing, by keyOf. */
export function equivalentMutants(): Readonly<Record<string, string>> {
  return JSON.parse(readFileSync(reasonsFile, 'utf8')) as Record<string, string>
}

/** Of one mutant: what noticed it, and with which words. */
export interface Outcome {
  readonly mutant: Mutant
  readonly caughtBy: string | undefined
}

interface FileReport {
  mutants: number
  /** By statement: settings of the emulator and the first line of the report. */
  caught: Record<string, string>
  /** By statement: the reason. */
  equivalent: Record<string, string>
  survived: string[]
}

interface Report {
  date: string
  commit: string
  mutants: number
  caught: number
  equivalent: number
  survived: number
  files: Record<string, FileReport>
}

/**
 * Adds outcomes to the report at `path`, which need not exist. What it says of mutants that are no longer in the code
 * is dropped.
 */
export function addToReport(path: string, outcomes: readonly Outcome[], commit: string): void {
  const old = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Report).files : {}
  const names = new Set([...Object.keys(old), ...outcomes.map(({ mutant }) => mutant.file)])
  const files = [...names].sort().map((name) => {
    const fresh = outcomes.filter(({ mutant }) => mutant.file === name)
    return [name, fileReport(name, old[name], fresh)] as const
  })
  const sum = (count: (file: FileReport) => number) =>
    files.reduce((total, [, file]) => total + count(file), 0)
  const report: Report = {
    date: new Date().toISOString().slice(0, 10),
    commit,
    mutants: sum((file) => file.mutants),
    caught: sum((file) => Object.keys(file.caught).length),
    equivalent: sum((file) => Object.keys(file.equivalent).length),
    survived: sum((file) => file.survived.length),
    files: Object.fromEntries(files),
  }
  writeFileSync(path, `${JSON.stringify(report, undefined, 2)}\n`)
}

function fileReport(
  name: string,
  old: FileReport | undefined,
  outcomes: readonly Outcome[],
): FileReport {
  const reasons = equivalentMutants()
  const file: FileReport = { mutants: 0, caught: {}, equivalent: {}, survived: [] }
  const path = join(packageRoot, name)
  for (const mutant of existsSync(path) ? findMutants(name, readFileSync(path, 'utf8')) : []) {
    const key = keyOf(mutant)
    const statement = key.slice(name.length + 2)
    const fresh = outcomes.find((outcome) => keyOf(outcome.mutant) === key)
    const caught = fresh ? fresh.caughtBy : old?.caught[statement]
    const known = fresh || old?.equivalent[statement] || old?.survived.includes(statement)
    if (!caught && !known) continue
    file.mutants++
    const reason = reasons[key]
    if (caught) file.caught[statement] = caught
    else if (reason) file.equivalent[statement] = reason
    else file.survived.push(statement)
  }
  return file
}
