#!/usr/bin/env node
/** The command `captioneer`: its commands, one file each, and how every one of them ends. */
import { Command } from 'commander'
import { version } from '../version.js'
import { addAltCommand } from './alt.js'
import { addBenchCommand } from './bench.js'
import { addCaptionCommand } from './caption.js'
import { addCompileCommand } from './compile.js'
import { addConvertCommand } from './convert.js'
import { addDemoCommand } from './demo.js'
import { addDoctorCommand } from './doctor.js'
import { addEvaluateCommand } from './evaluate.js'
import { reportFailure } from './failure.js'
import { addInspectCommand } from './inspect.js'
import { addReportCommand } from './report.js'
import { addScoreCommand } from './score.js'
import { addServeCommand } from './serve.js'
import { endQuietlyWithoutReader } from './terminal.js'
import { addTrainCommand } from './train.js'

const program = new Command('captioneer')
  .description('Image captioning, trained and used on your own machine.')
  .version(version)
  // Errors of commander are thrown, to be printed and counted like all others.
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .addHelpText(
    'after',
    `
Examples:
  captioneer demo
  captioneer train --data ./flickr8k --encoder-weights mobilenet_v2.safetensors --out ./runs/first
  captioneer caption photo.jpg --model ./runs/first

Exit codes: 0 success, 1 the work failed, 2 wrong use, 130 interrupted. CAPTIONEER_DEBUG=1 shows where errors
come from, NO_COLOR=1 turns colours off.`,
  )

addDemoCommand(program)
addTrainCommand(program)
addCaptionCommand(program)
addAltCommand(program)
addServeCommand(program)
addEvaluateCommand(program)
addScoreCommand(program)
addReportCommand(program)
addInspectCommand(program)
addDoctorCommand(program)
addConvertCommand(program)
addCompileCommand(program)
addBenchCommand(program)

endQuietlyWithoutReader()
try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = reportFailure(error, process.argv.includes('--json'))
}
