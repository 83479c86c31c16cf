/** `captioneer evaluate`: how good a model is on data it has not seen. Its work is evaluate/evaluate.ts. */
import type { Command } from 'commander'
import type { SplitName } from '../data/dataset.js'
import type { Interval } from '../evaluate/bootstrap.js'
import type { EvaluateResult } from '../evaluate/evaluate.js'
import type { FloorScores } from '../evaluate/judge.js'
import type { EvaluateProgress } from '../evaluate/measure.js'
import { writeAtomic } from '../files/atomic.js'
import type { DeviceName } from '../native.js'
import { noteFallback } from './fallback.js'
import { shownPath, table, thousands, three } from './format.js'
import { deviceOption, jsonFlags, numberFrom, oneOf, wholeNumber } from './options.js'
import { createProgressBar, type ProgressBar } from './progress-bar.js'
import { note, print, printJson } from './terminal.js'

interface EvaluateFlags {
  readonly model: string
  readonly data: string
  readonly split?: SplitName
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
  await noteFallback('evaluating', options.device)
  const bar = createProgressBar(process.stderr)
  let result: EvaluateResult
  try {
    result = await evaluate({ ...options, onProgress: progressOn(bar) })
  } finally {
    bar.end()
  }
  for (const warning of result.warnings) note(`left out: ${warning}`)
  if (output !== undefined) {
    await writeAtomic(output, async (file) => {
      await file.writeFile(`${JSON.stringify(result.predictions, null, 2)}\n`)
    })
    note(`${thousands(result.predictions.length)} captions are in ${shownPath(output)}`)
  }
  if (json) printJson(result)
  else print(report(result))
}

const phases: Readonly<Record<EvaluateProgress['phase'], string>> = {
  features: 'encoding images',
  loss: 'loss',
  captions: 'captioning',
  scores: 'scoring',
}

function progressOn(bar: ProgressBar): (progress: EvaluateProgress) => void {
  let phase = ''
  let started = { at: 0, done: 0 }
  return (progress) => {
    const { done, total } = progress
    if (progress.phase !== phase) {
      phase = progress.phase
      started = { at: performance.now(), done }
    }
    const perSecond = (1000 * (done - started.done)) / (performance.now() - started.at)
    const known = done > started.done && progress.phase !== 'scores'
    bar.update({
      label: phases[progress.phase],
      done,
      total,
      facts: known ? [`${three(perSecond)} images/s`] : [],
      ...(known ? { secondsLeft: (total - done) / perSecond } : {}),
    })
  }
}

/** Scores x100 as papers print them, floors beside them; then the figures that have no floors. */
function report(result: EvaluateResult): string {
  const { bleu, rougeL, cider, floors, intervals, decoding } = result
  const others = [floors.constant, floors.random, ...(floors.human ? [floors.human] : [])]
  const row = (
    name: string,
    of: (scores: FloorScores) => number | undefined,
    interval?: Interval,
  ) => [
    name,
    hundredfold(of({ bleu, rougeL, cider })),
    interval ? `${hundredfold(interval.low)} - ${hundredfold(interval.high)}` : '',
    ...others.map((floor) => hundredfold(of(floor))),
  ]
  const { images, split, skipped } = result
  return [
    `${thousands(images)} images of split "${split}"${skipped > 0 ? `, ${thousands(skipped)} could not be read` : ''}; ` +
      `beam ${decoding.beam}, length penalty ${decoding.lengthPenalty}, ` +
      `${three(result.captionsPerSecond)} captions/s`,
    table([
      ['scores x100', 'model', '95 %', 'constant', 'random', ...(floors.human ? ['people'] : [])],
      ...[0, 1, 2].map((n) => row(`BLEU-${n + 1}`, (scores) => scores.bleu[n])),
      row('BLEU-4', (scores) => scores.bleu[3], intervals.bleu4),
      row('ROUGE-L', (scores) => scores.rougeL, intervals.rougeL),
      row('CIDEr', (scores) => scores.cider, intervals.cider),
    ]),
    `constant: "${floors.constant.caption}" for every image. random: any training caption.`,
    '',
    table(otherFigures(result)),
  ].join('\n')
}

function otherFigures(result: EvaluateResult): string[][] {
  const { loss, shuffledLoss, perplexity, exactMatch, intervals } = result
  const between = (interval: Interval | undefined, show: (n: number) => string) =>
    interval ? `${show(interval.low)} - ${show(interval.high)}` : ''
  const nats = (n: number) => n.toFixed(3)
  const percent = (n: number) => `${hundredfold(n)} %`
  const difference = intervals.shuffledMinusLoss
  return [
    ['loss, nats per token', nats(loss), between(intervals.loss, nats)],
    ...(shuffledLoss === undefined
      ? []
      : [
          ["  with another picture's image", nats(shuffledLoss)],
          ['  worth of the right image', nats(shuffledLoss - loss), between(difference, nats)],
        ]),
    ['perplexity', three(perplexity)],
    ['right words, knowing those before', percent(result.tokenAccuracy)],
    ['different captions', percent(result.distinct)],
    ['mean length, words', result.meanLength.toFixed(1)],
    ...(exactMatch === undefined
      ? []
      : [['exactly right', percent(exactMatch), between(intervals.exactMatch, percent)]]),
  ]
}

function hundredfold(score: number | undefined): string {
  return score === undefined ? '' : (100 * score).toFixed(1)
}
