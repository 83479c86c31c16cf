/** `captioneer report`: the report of a run, made again, with another evaluation if asked. Its work is report/run-report.ts. */
import type { Command } from 'commander'
import type { SplitName } from '../data/dataset.js'
import { ArgumentError } from '../errors.js'
import type { DeviceName } from '../native.js'
import type { ReportedEvaluation } from '../report/evaluation-file.js'
import { shownPath, thousands } from './format.js'
import { deviceOption, jsonFlags, oneOf, wholeNumber } from './options.js'
import { note, print, printJson } from './terminal.js'

interface ReportFlags {
  readonly out?: string
  readonly scores?: string
  readonly data?: string
  readonly split?: SplitName
  readonly beam?: number
  readonly limit?: number
  readonly textOnly?: string
  readonly device: DeviceName
  readonly json?: true
}

export function addReportCommand(program: Command): void {
  program
    .command('report')
    .summary('make the report of a run again')
    .description(
      'Make report.html of a run folder again from its files, also of a run that goes on or was killed. With --data the ' +
        'model is evaluated first; with --scores the report shows an evaluation that there is already.',
    )
    .argument('<run>', 'run folder')
    .option('--out <file>', 'where the report goes (default: report.html of the run folder)')
    .option('--data <path>', 'evaluate on these images and captions, and keep the result')
    .option('--split <name>', 'with --data: train, val or test', oneOf(['train', 'val', 'test']))
    .option('--beam <n>', 'with --data: captions kept while searching', wholeNumber(1, 64))
    .option('--limit <n>', 'with --data: images at most', wholeNumber(1, 1_000_000_000))
    .option('--scores <file>', 'output of "captioneer evaluate --json" to show')
    .option('--text-only <run>', 'with --data: run folder of the same model without images')
    .addOption(deviceOption())
    .option(...jsonFlags)
    .addHelpText('after', help)
    .action(run)
}

const help = `
Examples:
  captioneer report ./runs/first
  captioneer report ./runs/first --data ./flickr8k --split test --beam 5
  captioneer report ./runs/first --data ./flickr8k --text-only ./runs/no-image
  captioneer report ./runs/first --scores scores.json --out first.html
`

async function run(folder: string, flags: ReportFlags): Promise<void> {
  const { reportRun } = await import('../report/run-report.js')
  checkTogether(flags)
  const report = await reportRun(folder, {
    path: flags.out,
    evaluation: await evaluationOf(folder, flags),
    device: flags.device,
    warn: note,
  })
  if (flags.json) printJson({ report })
  else print(`The report is in ${shownPath(report)}.`)
}

function checkTogether({ data, scores, split, beam, limit, textOnly }: ReportFlags): void {
  if (data !== undefined && scores !== undefined)
    throw new ArgumentError('report: --data evaluates anew and --scores does not; give one of them')
  const given = Object.entries({ split, beam, limit, 'text-only': textOnly })
  const [name] = given.find(([, value]) => value !== undefined) ?? []
  if (data === undefined && name !== undefined)
    throw new ArgumentError(`report: --${name} is for an evaluation. Give --data PATH with it`)
}

/** The evaluation that flags ask for; undefined where the run folder's own is meant. */
async function evaluationOf(
  folder: string,
  { data, scores, split, beam, limit, textOnly, device }: ReportFlags,
): Promise<ReportedEvaluation | undefined> {
  const { readEvaluation, writeEvaluation, evaluationPath } = await import(
    '../report/evaluation-file.js'
  )
  if (scores !== undefined) {
    const evaluation = await readEvaluation(scores)
    if (evaluation) return evaluation
    throw new ArgumentError(`report: there is no file ${scores}; write it with "evaluate --json"`)
  }
  if (data === undefined) return undefined
  const { evaluate } = await import('../evaluate/evaluate.js')
  note('evaluating')
  const evaluation = await evaluate({ model: folder, data, split, beam, limit, textOnly, device })
  note(`${thousands(evaluation.images)} images of split "${evaluation.split}" evaluated`)
  await writeEvaluation(evaluationPath(folder), evaluation)
  return evaluation
}
