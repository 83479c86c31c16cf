/** `captioneer caption`: its flags. Captions are printed by caption-print.ts, and written into files by caption-files.ts. */
import type { Command } from 'commander'
import type { CaptionFormat } from '../folders/destination.js'
import { captionFormats, type ExistingRule, existingRules } from '../folders/destination.js'
import type { DeviceName } from '../native.js'
import { addDecodingFlags, type DecodingFlags } from './decoding-flags.js'
import { deviceOption, jsonFlags, numberFrom, oneOf, wholeNumber } from './options.js'

export interface CaptionFlags extends DecodingFlags {
  readonly model: string
  readonly seed?: number
  readonly batchSize?: number
  readonly attention?: string
  readonly recursive?: true
  readonly device: DeviceName
  readonly json?: true
  readonly format?: CaptionFormat
  readonly out?: string
  readonly extension?: string
  readonly ifExists?: ExistingRule
  readonly resume?: true
  readonly dryRun?: true
  readonly before?: string
  readonly after?: string
  readonly minConfidence?: number
  readonly watch?: true
  readonly strict?: true
}

export function addCaptionCommand(program: Command): void {
  const command = program
    .command('caption')
    .summary('caption pictures, folders of them too')
    .description(
      'Caption pictures: files, folders of them (in natural order), or "-" for one picture on stdin. Captions are printed, ' +
        'or with --format written into files: one beside each picture, or one for all. A picture that cannot be read is ' +
        'reported and the others go on; the exit code is 1 only when all failed.',
    )
    .argument('<images...>', 'files, folders or -')
    .requiredOption('--model <folder>', 'model or run folder')
  addDecodingFlags(command)
    .option(
      '--num-captions <n>',
      'captions of each picture, at most --beam unless they are sampled',
      wholeNumber(1, 64),
    )
    .option('--seed <n>', 'of sampling (default: 0)', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option(
      '--attention <folder>',
      'write where the model looked for each word: a PNG and a JSON of each picture',
    )
    .option('--batch-size <n>', 'pictures captioned together (default: 32)', wholeNumber(1, 4096))
    .option('--recursive', 'folders within folders too')
    .option(
      '--format <name>',
      'write files: txt or json beside each picture; jsonl, csv or html for all',
      oneOf(captionFormats),
    )
    .option(
      '--out <path>',
      "txt, json: a folder for them, that mirrors the pictures'; others: the file (default: captions.<format>)",
    )
    .option('--extension <ext>', 'of the files beside pictures (default: as --format)')
    .option(
      '--if-exists <rule>',
      'a caption that is there: skip, overwrite or append (default: skip)',
      oneOf(existingRules),
    )
    .option('--resume', 'go on with a run of overwrite or append that was cut off')
    .option('--dry-run', 'say what would be written, and load no model')
    .option('--before <text>', 'put before each caption that is written; --prefix guides the model')
    .option('--after <text>', 'put after each caption that is written')
    .option(
      '--min-confidence <x>',
      'list captions of which the model is less sure, 0-1, and do not write them',
      numberFrom(0, 1),
    )
    .option('--watch', 'stay, and caption pictures as they arrive; Ctrl-C ends it')
    .option('--strict', 'with --format: exit code 1 when any picture failed')
    .addOption(deviceOption())
    .option(...jsonFlags)
    .addHelpText('after', help)
    .action(run)
}

const help = `
What is not given here is as the model's generation.json says. With --temperature, --top-k, --top-p, --typical-p or --tau
captions are sampled instead of searched for: the same seed gives the same captions.

Examples:
  captioneer caption photo.jpg --model ./runs/first
  captioneer caption ./holiday --recursive --model ./runs/first --beam 5 --num-captions 3
  captioneer caption photo.jpg --model ./runs/first --temperature 0.8 --top-p 0.9 --seed 1 --num-captions 5
  captioneer caption photo.jpg --model ./runs/first --prefix "a dog" --no-repeat-ngram 2
  captioneer caption photo.jpg --model ./runs/first --attention ./heat
  curl -s https://example.org/cat.jpg | captioneer caption - --model ./runs/first
  captioneer caption *.jpg --model ./runs/first --json > captions.json

Into files:
  captioneer caption ./holiday --recursive --model ./runs/first --format txt --dry-run
  captioneer caption ./holiday --recursive --model ./runs/first --format txt
  captioneer caption ./set --model ./runs/first --format txt --extension .caption --before "mystyle, "
  captioneer caption ./holiday --recursive --model ./runs/first --format html --out holiday.html
  captioneer caption ./holiday --recursive --model ./runs/first --format csv --out captions.csv --if-exists overwrite
  captioneer caption ./inbox --model ./runs/first --format txt --watch
`

async function run(words: readonly string[], flags: CaptionFlags): Promise<void> {
  if (flags.format !== undefined) {
    const { captionIntoFiles } = await import('./caption-files.js')
    return await captionIntoFiles(words, flags, flags.format)
  }
  const { refuseFileFlags } = await import('./caption-destination.js')
  refuseFileFlags(flags)
  const { printCaptions } = await import('./caption-print.js')
  await printCaptions(words, flags)
}
