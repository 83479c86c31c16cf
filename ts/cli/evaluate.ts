/** `captioneer evaluate`: how good a model is on data it has not seen. Its work is evaluate/evaluate.ts. */
import type { Command } from 'commander'
import type { SplitName } from '../data/dataset.js'
import type { Interval } from '../evaluate/bootstrap.js'
import type { EvaluateResult } from '../evaluate/evaluate.js'
import type { FloorScores } from '../evaluate/judge.js'
import type { EvaluateProgress } from '../evaluate/measure.js'
import { writeAtomic } from '../files/atomic.js'
import type { DeviceName } from '../native.js'
import { addDecodingFlags, type DecodingFlags, decodingOf } from './decoding-flags.js'
import { noteFallback } from './fallback.js'
import { shownPath, table, thousands, three } from './format.js'
import { deviceOption, jsonFlags, oneOf, wholeNumber } from './options.js'
import { createProgressBar, type ProgressBar } from './progress-bar.js'
import { note, print, printJson } from './terminal.js'

interface EvaluateFlags extends DecodingFlags {
  readonly model: string
  readonly data: string
  readonly split?: SplitName
  readonly limit?: number
  readonly batchSize?: number
  readonly seed?: number
  readonly textOnly?: string
  readonly meteorJar?: string
  readonly spiceJar?: string
  readonly device: DeviceName
  readonly output?: string
  readonly json?: true
}

export function addEvaluateCommand(program: Command): void {
  const command = program
    .command('evaluate')
    .summary('score a model on held-out data')
    .description(
      'Score a model: teacher-forced loss, and BLEU, ROUGE-L, METEOR and CIDEr-D of captions that it writes on its own. ' +
        'Beside each score stand what captions score that never saw the image, and a 95 % interval.',
    )
    .requiredOption('--model <folder>', 'model or run folder')
    .requiredOption('--data <path>', 'folder or file with images and captions')
    .option('--split <name>', 'train, val or test (default: val)', oneOf(['train', 'val', 'test']))
  addDecodingFlags(command)
    .option('--limit <n>', 'images at most', wholeNumber(1, 1_000_000_000))
    .option('--batch-size <n>', 'images at a time', wholeNumber(1, 4096))
    .option('--seed <n>', 'of intervals, floors and sampling', wholeNumber(0, 2 ** 32 - 1))
    .option('--text-only <folder>', 'a model trained with --no-image, whose loss to compare')
    .option(
      '--meteor-jar <file>',
      'meteor-1.5.jar: METEOR with its paraphrase table too (needs Java)',
    )
    .option('--spice-jar <file>', 'spice-1.0.jar: SPICE too (needs Java)')
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
  captioneer evaluate --model ./runs/first --data ./flickr8k --text-only ./runs/no-image
`

async function run({ json, output, repeatNgram, ...options }: EvaluateFlags): Promise<void> {
  const { evaluate } = await import('../evaluate/evaluate.js')
  await noteFallback('evaluating', options.device)
  const bar = createProgressBar(process.stderr)
  let result: EvaluateResult
  try {
    result = await evaluate({
      ...options,
      ...decodingOf({ ...options, repeatNgram }),
      onProgress: progressOn(bar),
    })
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
  const { floors, intervals, decoding } = result
  const others = [floors.constant, floors.random, ...(floors.human ? [floors.human] : [])]
  const row = (
    name: string,
    of: (scores: FloorScores) => number | undefined,
    interval?: Interval,
  ) => [
    name,
    hundredfold(of(result)),
    interval ? `${hundredfold(interval.low)} - ${hundredfold(interval.high)}` : '',
    ...others.map((floor) => hundredfold(of(floor))),
  ]
  const byJar = (name: string, score: number | undefined, interval: Interval | undefined) =>
    score === undefined
      ? []
      : [row(name, (scores) => (scores === result ? score : undefined), interval)]
  const { images, split, skipped } = result
  return [
    `${thousands(images)} images of split "${split}"${skipped > 0 ? `, ${thousands(skipped)} could not be read` : ''}; ` +
      `${three(result.captionsPerSecond)} captions/s`,
    `captions by ${Object.entries(decoding)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}`,
    table([
      ['scores x100', 'model', '95 %', 'constant', 'random', ...(floors.human ? ['people'] : [])],
      ...[0, 1, 2].map((n) => row(`BLEU-${n + 1}`, (scores) => scores.bleu[n])),
      row('BLEU-4', (scores) => scores.bleu[3], intervals.bleu4),
      row('ROUGE-L', (scores) => scores.rougeL, intervals.rougeL),
      row('METEOR *', (scores) => scores.meteorExactStemSynonym, intervals.meteorExactStemSynonym),
      ...byJar('METEOR', result.meteor, intervals.meteor),
      row('CIDEr', (scores) => scores.cider, intervals.cider),
      ...byJar('SPICE', result.spice, intervals.spice),
    ]),
    `constant: "${floors.constant.caption}" for every image. random: any training caption.`,
    '* without its paraphrase table; --meteor-jar gives it with it.',
    '',
    table(otherFigures(result)),
  ].join('\n')
}

function otherFigures(result: EvaluateResult): string[][] {
  const { loss, shuffledLoss, textOnlyLoss, perplexity, exactMatch, intervals, novel } = result
  const between = (interval: Interval | undefined, show: (n: number) => string) =>
    interval ? `${show(interval.low)} - ${show(interval.high)}` : ''
  const nats = (n: number) => n.toFixed(3)
  const percent = (n: number) => `${hundredfold(n)} %`
  const worth = (name: string, other: number | undefined, interval: Interval | undefined) =>
    other === undefined
      ? []
      : [
          [`  ${name}`, nats(other)],
          ['    the right image is worth', nats(other - loss), between(interval, nats)],
        ]
  return [
    ['loss, nats per token', nats(loss), between(intervals.loss, nats)],
    ...worth("with another picture's image", shuffledLoss, intervals.shuffledMinusLoss),
    ...worth('of the text-only model', textOnlyLoss, intervals.textOnlyMinusLoss),
    ['perplexity', three(perplexity)],
    ['right words, knowing those before', percent(result.tokenAccuracy)],
    ['  among the five likeliest', percent(result.tokenAccuracy5)],
    ['different captions', percent(result.distinct)],
    ...(novel === undefined ? [] : [['captions that are not in training', percent(novel)]]),
    ['captions that repeat three words', percent(result.repeatedCaptions)],
    ['different words', thousands(result.vocabularyUsed)],
    ['mean length, words', result.meanLength.toFixed(1)],
    ...(exactMatch === undefined
      ? []
      : [['exactly right', percent(exactMatch), between(intervals.exactMatch, percent)]]),
  ]
}

function hundredfold(score: number | undefined): string {
  return score === undefined ? '' : (100 * score).toFixed(1)
}
