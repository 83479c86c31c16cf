/** `captioneer train`: a data set and settings to a run folder. Training itself is train/train.ts. */
import type { Command } from 'commander'
import { ArgumentError } from '../errors.js'
import type { TrainResult } from '../train/train.js'
import { exitCodes } from './failure.js'
import { bytesText, duration, shellLine, shownPath, thousands, three } from './format.js'
import { Interrupted, interruptible } from './interrupt.js'
import { given, jsonFlags, wholeNumber } from './options.js'
import { createProgressBar } from './progress-bar.js'
import { note, print, printJson } from './terminal.js'
import { createTrainingDisplay } from './training-display.js'

/** Flags that are words for a config key; their values stay text for the config to check. */
const configKeys = {
  preset: 'preset',
  out: 'out',
  epochs: 'epochs',
  maxSteps: 'maxSteps',
  maxSeconds: 'maxSeconds',
  encoderWeights: 'encoderWeights',
  init: 'init',
  freezeEncoder: 'freezeEncoder',
  device: 'device',
  seed: 'seed',
  batchSize: 'batchSize',
} as const

type KeyFlags = { readonly [K in keyof typeof configKeys]?: string | true }

interface TrainFlags extends KeyFlags {
  readonly data?: string
  readonly config?: string
  readonly resume?: true
  readonly dashboard?: number
  readonly image: boolean
  readonly json?: true
}

export function addTrainCommand(program: Command): void {
  program
    .command('train')
    .summary('train a captioner on a data set')
    .description(
      'Train a captioner. Data are recognised by looking: Karpathy or COCO JSON, Flickr tables, captions.csv, ' +
        'JSON lines, or a folder of images with .txt files beside them. The best model by validation loss is in the ' +
        'run folder; Ctrl-C saves, and --resume goes on exactly there.',
    )
    .option('--data <path>', 'folder or file with images and captions')
    .option('--preset <name>', 'settings to start from (default: mobilenetv2-transformer)')
    .option('--config <file>', 'YAML file with config keys')
    .option('--out <folder>', 'run folder (default: ./runs/latest)')
    .option('--epochs <n>', 'passes over the training images')
    .option('--max-steps <n>', 'stop after so many steps')
    .option('--max-seconds <n>', 'stop after so many seconds of training')
    .option('--batch-size <n>', 'images in one step')
    .option(
      '--encoder-weights <file>',
      'pretrained weights of the encoder: .safetensors, .pth or .bin',
    )
    .option('--init <folder>', 'model folder to start from: its weights, words and settings')
    .option('--freeze-encoder [n]', 'true, false, or how many stages from the image on stay fixed')
    .option('--no-image', 'train the text-only baseline')
    .option('--seed <n>', 'of weights and dropout')
    .option('--device <name>', 'auto, cpu or cuda')
    .option('--dashboard <port>', 'a live page on 127.0.0.1', wholeNumber(0, 65_535))
    .option('--resume', 'go on from the newest checkpoint of the run folder')
    .option(...jsonFlags)
    .addHelpText('after', help)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(async (flags: TrainFlags, command: Command) => {
      const { configFlags } = await import('./config-flags.js')
      const settings = configFlags(command, [...keyWords(flags), ...command.args])
      if (flags.data === undefined && flags.config === undefined)
        throw new ArgumentError(
          'train: no data. Say where images and captions are with --data PATH',
        )
      await run(flags, settings)
    })
}

const help = `
Any other config key is a flag too: --model.decoder.layers=4, --optimizer.learningRate 5e-4, --data.flip.
A run folder's config.yaml lists all keys. Also understood: --seq_length, --batch_size, --embed_dim, --ff_dim, --enc_heads,
--dec_heads, --artifact_dir, --lr.

Examples:
  captioneer train --data ./flickr8k --encoder-weights mobilenet_v2.safetensors --out ./runs/first
  captioneer train --data ./photos --preset tiny --epochs 5 --model.decoder.layers=1
  captioneer train --config ./runs/first/config.yaml --resume
  captioneer train --config ./runs/first/config.yaml --out ./runs/second --seed 2
  captioneer train --data ./flickr8k --preset tiny --trackers=[tensorboard,wandb] --dashboard 8013
  captioneer train --data ./flickr8k --preset tiny --max-seconds 900 --json > result.json
`

function keyWords(flags: TrainFlags): string[] {
  const words = Object.entries(configKeys).flatMap(([flag, key]) => {
    const value = flags[flag as keyof KeyFlags]
    return value === undefined ? [] : [`--${key}=${value}`]
  })
  return flags.image ? words : [...words, '--image=false']
}

async function run(flags: TrainFlags, settings: Record<string, string>): Promise<void> {
  const { train } = await import('../train/train.js')
  const bar = createProgressBar(process.stderr)
  const display = createTrainingDisplay(bar)
  try {
    const result = await interruptible(
      'stopping after this step; press Ctrl-C again to stop at once, without saving',
      (signal) =>
        train({
          ...given({ config: flags.config, resume: flags.resume, dashboard: flags.dashboard }),
          data: flags.data ?? {},
          flags: settings,
          signal,
          ...display,
        }),
    )
    bar.end()
    if (flags.json) printJson(result)
    else print(summary(result))
    if (result.interrupted) howToResume(`interrupted after step ${thousands(result.step)}, saved`)
  } catch (error) {
    bar.end()
    if (!(error instanceof Interrupted)) throw error
    if (flags.json) printJson({ interrupted: true })
    howToResume('interrupted before the first step; features computed so far are kept')
  }
}

function howToResume(what: string): void {
  const words = process.argv.slice(2).filter((word) => word !== '--resume')
  note(`${what}. Go on with:\n  ${shellLine(['captioneer', ...words, '--resume'])}`)
  process.exitCode = exitCodes.interrupted
}

/** The end of a run in words. */
function summary(result: TrainResult): string {
  const { step, epoch, trainSeconds, imagesPerSecond, captionsPerSecond, best, last } = result
  const epochs = epoch === 1 ? '1 epoch' : `${epoch} epochs`
  const model = shownPath(result.model)
  return [
    `Trained ${thousands(step)} steps (${epochs}) in ${duration(trainSeconds)}: ${three(imagesPerSecond)} images/s, ` +
      `${three(captionsPerSecond)} captions/s, at most ${bytesText(result.peakBytes)} of memory.`,
    Number.isFinite(best.loss)
      ? `Best ${result.split} loss ${best.loss.toFixed(4)} nats per token at step ${thousands(best.step)}; ` +
        `last training loss ${last.loss.toFixed(4)}.`
      : `No validation yet; last training loss ${last.loss.toFixed(4)}.`,
    ...(result.skipped > 0
      ? [`${result.skipped} steps were skipped: their gradients were not finite.`]
      : []),
    ...(result.report === undefined ? [] : [`The report is in ${shownPath(result.report)}.`]),
    `The model is in ${model}. Caption a picture with it:`,
    `  ${shellLine(['captioneer', 'caption', 'photo.jpg', '--model', model])}`,
  ].join('\n')
}
