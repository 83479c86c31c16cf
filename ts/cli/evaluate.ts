/** `captioneer evaluate`: how good a model is on data it has not seen. Its work is evaluate/evaluate.ts. */
import type { Command } from 'commander'
import type { EvaluateOptions, EvaluateResult } from '../evaluate/evaluate.js'
import type { DeviceName } from '../native.js'
import { writeAtomic } from '../files/atomic.js'
import { fileError } from '../files/system-error.js'
import { shownPath, table, thousands, three } from './format.js'
import { deviceOption, given, jsonFlags, numberFrom, oneOf, wholeNumber } from './options.js'
import { createProgressBar, type ProgressBar } from './progress-bar.js'
import { note, print, printJson } from './terminal.js'

interface EvaluateFlags {
  readonly model: string
  readonly data: string
  readonly split?: 'train' | 'val' | 'test'
  readonly beam?: number
  readonly maxTokens?: number
  readonly lengthPenalty?: number
  readonly limit?: number
  readonly batchSize?: number
  readonly seed?: number
  readonly device: DeviceName
  readonly output?: string
  readonly json?: true
}

export function addEvaluateCommand(program: Command): void {
  program
    .command('evaluate')
    .summary('score a model on held-out data')
    .description(
      'Score a model: teacher-forced loss, and BLEU, ROUGE-L and CIDEr-D of captions that it writes on its own. ' +
        'Beside each score stand what captions score that never saw the image, and a 95 % interval.',
    )
    .requiredOption('--model <folder>', 'model or run folder')
    .requiredOption('--data <path>', 'folder or file with images and captions')
    .option('--split <name>', 'train, val or test (default: val)', oneOf(['train', 'val', 'test']))
    .option('--beam <n>', 'captions kept while searching; 1 is greedy', wholeNumber(1, 64))
    .option('--max-tokens <n>', 'longest caption, in tokens', wholeNumber(1, 512))
    .option('--length-penalty <x>', 'larger prefers longer captions', numberFrom(0, 10))
    .option('--limit <n>', 'images at most', wholeNumber(1, 1_000_000_000))
    .option('--batch-size <n>', 'images at a time', wholeNumber(1, 4096))
    .option('--seed <n>', 'of intervals and floors', wholeNumber(0, 2 ** 32 - 1))
    .option('--output <file>', 'write every caption with its references and score here, as JSON')
    .addOption(deviceOption())
    .option(...jsonFlags)
    .addHelpText('after', help)
    .action(run)
}

const help = `
Examples:
  captioneer evaluate --model ./runs/first --data ./flickr8k
  captioneer evaluate --model ./runs/first --data ./flickr8k --split test --beam 5 --output predictions.json
  captioneer evaluate --model ./runs/first --data ./flickr8k --limit 100 --json > scores.json
`

async function run({ json, output, ...options }: EvaluateFlags): Promise<void> {
  const { evaluate } = await import('../evaluate/evaluate.js')
  const bar = createProgressBar(process.stderr)
  let result: EvaluateResult
  try {
    result = await evaluate({ ...given(options), model: options.model, data: options.data, onProgress: progressOn(bar) })
  } finally {
    bar.end()
  }
  if (output !== undefined) {
    await savePredictions(output, result)
    note(`${thousands(result.predictions.length)} captions are in ${shownPath(output)}`)
  }
  if (json) printJson(result)
  else print(report(result))
}
