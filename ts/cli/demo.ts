/** `captioneer demo`: the whole path on one machine in minutes. Its work is ../demo.ts. */
import type { Command } from 'commander'
import type { DemoResult } from '../demo.js'
import type { DeviceName } from '../native.js'
import { exitCodes } from './failure.js'
import { duration, shellLine, shownPath, table, three } from './format.js'
import { Interrupted, interruptible } from './interrupt.js'
import { deviceOption, jsonFlags, numberFrom, wholeNumber } from './options.js'
import { createProgressBar } from './progress-bar.js'
import { note, print, printJson } from './terminal.js'
import { createTrainingDisplay } from './training-display.js'

interface DemoFlags {
  readonly out?: string
  readonly data?: string
  readonly maxSeconds?: number
  readonly seed?: number
  readonly device: DeviceName
  readonly json?: true
}

const SHOWN_SAMPLES = 3

export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .summary('train a small captioner, caption pictures, write a report')
    .description(
      'Train a small captioner on pictures that it draws itself (or on --data), judge it against a model that sees ' +
        'no image, caption pictures it has not seen, and write a report. About two minutes of training on two cores.',
    )
    .option('--out <folder>', 'where data, model and report go')
    .option('--data <path>', 'images and captions to use instead of drawn pictures')
    .option('--max-seconds <n>', 'longest training, seconds', numberFrom(1, 1e9))
    .option('--seed <n>', 'of pictures and weights', wholeNumber(0, 2 ** 32 - 1))
    .addOption(deviceOption())
    .option(...jsonFlags)
    .addHelpText('after', help)
    .action(run)
}

const help = `
Examples:
  captioneer demo
  captioneer demo --out ./first --max-seconds 60
  captioneer demo --data ./flickr8k
  captioneer demo --json > demo.json
`

async function run({ json, ...options }: DemoFlags): Promise<void> {
  const { runDemo } = await import('../demo.js')
  const bar = createProgressBar(process.stderr)
  const { onProgress, onEvent } = createTrainingDisplay(bar)
  try {
    const result = await interruptible(
      'stopping after this step; press Ctrl-C again to stop at once',
      (signal) =>
        runDemo({
          ...options,
          signal,
          onProgress,
          onEvent: (event) => {
            if (event.kind !== 'phase') onEvent(event)
            else {
              bar.end()
              bar.note(event.text)
            }
          },
        }),
    )
    bar.end()
    if (json) printJson(result)
    else print(summary(result))
  } catch (error) {
    bar.end()
    if (!(error instanceof Interrupted)) throw error
    if (json) printJson({ interrupted: true })
    const again = shellLine(['captioneer', ...process.argv.slice(2)])
    note(`interrupted; pictures drawn so far are used again. Start again with:\n  ${again}`)
    process.exitCode = exitCodes.interrupted
  }
}

function summary(result: DemoResult): string {
  const { validation, samples } = result
  const model = shownPath(result.model)
  return [
    `Trained for ${duration(result.trainSeconds)} on ${result.device}, ${three(result.imagesPerSecond)} images/s.`,
    table([
      ['loss, nats per token', validation.loss.toFixed(3)],
      ['  without an image', validation.textOnlyLoss.toFixed(3)],
      ["  with another picture's image", validation.shuffledLoss.toFixed(3)],
      ...(validation.exactMatch === undefined
        ? []
        : [['captions exactly right', `${(100 * validation.exactMatch).toFixed(1)} %`]]),
      ['BLEU-4', (100 * validation.bleu4).toFixed(1)],
      ['CIDEr', (100 * validation.cider).toFixed(1)],
    ]),
    'Pictures it has not seen:',
    ...samples
      .slice(0, SHOWN_SAMPLES)
      .map(({ image, caption }) => `  ${shownPath(image)}: ${caption}`),
    `The report is in ${shownPath(result.report)}, the model in ${model}. Caption a picture with it:`,
    `  ${shellLine(['captioneer', 'caption', samples[0] ? shownPath(samples[0].image) : 'photo.jpg', '--model', model])}`,
  ].join('\n')
}
