/** `captioneer caption`: pictures to captions. Finding the pictures is image-paths.ts, captioning captioner.ts. */
import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { Captioner, CaptionResult } from '../captioner.js'
import type { ImageInput } from '../data/image.js'
import type { DeviceName } from '../native.js'
import { addDecodingFlags, type DecodingFlags, decodingOf } from './decoding-flags.js'
import { exitCodes } from './failure.js'
import { noteFallback } from './fallback.js'
import { duration, thousands, three } from './format.js'
import { imagePaths } from './image-paths.js'
import { deviceOption, given, jsonFlags, wholeNumber } from './options.js'
import { createProgressBar, type ProgressBar } from './progress-bar.js'
import { note, print, printJson } from './terminal.js'

interface CaptionFlags extends DecodingFlags {
  readonly model: string
  readonly seed?: number
  readonly batchSize?: number
  readonly attention?: string
  readonly recursive?: true
  readonly device: DeviceName
  readonly json?: true
}

export function addCaptionCommand(program: Command): void {
  const command = program
    .command('caption')
    .summary('caption pictures')
    .description(
      'Caption pictures: files, folders of them (in the order of their names), or "-" for one picture on stdin. ' +
        'A picture that cannot be read is reported and the others go on; the exit code is 1 only when all failed.',
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
`

/** A picture by the name that results give it. */
interface Picture {
  readonly name: string
  readonly input: ImageInput
}

async function run(words: readonly string[], flags: CaptionFlags): Promise<void> {
  const pictures = await findPictures(words, flags.recursive ?? false)
  const { loadCaptioner } = await import('../captioner.js')
  await noteFallback('captioning', flags.device)
  using captioner = await loadCaptioner(flags.model, { device: flags.device })
  // On a terminal the captions themselves show how far it is.
  const bar = flags.json || !process.stdout.isTTY ? createProgressBar(process.stderr) : undefined
  const writeAttention =
    flags.attention === undefined
      ? undefined
      : await (await import('./attention-files.js')).attentionFiles({
          folder: flags.attention,
          resize: captioner.image.resize,
        })
  const results: object[] = []
  let failed = 0
  const started = performance.now()
  for await (const [{ name, input }, result] of captionPictures(captioner, pictures, flags)) {
    const attention = result.error ? undefined : await writeAttention?.(name, input, result)
    if (result.error) {
      failed++
      if (bar) bar.note(result.error.message)
      else note(result.error.message)
    } else if (!flags.json) print(captionText(name, result, pictures.length > 1))
    results.push({ ...resultRow(name, result), ...given({ attention }) })
    if (bar && pictures.length > 1) showProgress(bar, results.length, pictures.length, started)
  }
  bar?.end()
  if (flags.json) printJson({ results })
  if (pictures.length > 1) note(closing(results.length, failed, started, captioner.device))
  if (failed === pictures.length) process.exitCode = exitCodes.failure
}

async function findPictures(words: readonly string[], recursive: boolean): Promise<Picture[]> {
  const pictures: Picture[] = []
  for (const word of words) {
    if (word === '-') pictures.push({ name: '-', input: await buffer(process.stdin) })
    else
      for (const path of await imagePaths(word, recursive))
        pictures.push({ name: path, input: path })
  }
  return pictures
}

async function* captionPictures(
  captioner: Captioner,
  pictures: readonly Picture[],
  flags: CaptionFlags,
): AsyncGenerator<[picture: Picture, result: CaptionResult<ImageInput>]> {
  const { numCaptions, seed, batchSize, attention } = flags
  const options = {
    ...decodingOf(flags),
    ...given({ numCaptions, seed, batchSize }),
    attention: attention !== undefined,
  }
  let next = 0
  const inputs = pictures.map(({ input }) => input)
  for await (const result of captioner.captionAll(inputs, options)) {
    const picture = pictures[next++]
    if (picture) yield [picture, result]
  }
}

function resultRow(image: string, result: CaptionResult<ImageInput>): object {
  if (result.error) return { image, error: result.error.message }
  const { text, score, tokens } = result
  const captions = result.captions?.map(({ attention: _, ...caption }) => caption)
  return { image, caption: text, score, tokens, ...given({ captions }) }
}

function captionText(
  name: string,
  { text, captions = [] }: Exclude<CaptionResult<ImageInput>, { readonly text?: undefined }>,
  named: boolean,
): string {
  const first = named ? `${name}: ${text}` : text
  const others = captions.slice(1).map((other) => `    ${other.text}`)
  return [first, ...others].join('\n')
}

function showProgress(bar: ProgressBar, done: number, total: number, started: number): void {
  const perSecond = (1000 * done) / (performance.now() - started)
  bar.update({
    label: 'captioning',
    done,
    total,
    facts: [`${three(perSecond)} images/s`],
    secondsLeft: (total - done) / perSecond,
  })
}

function closing(images: number, failed: number, started: number, device: string): string {
  const seconds = (performance.now() - started) / 1000
  const failures = failed > 0 ? `, ${thousands(failed)} failed` : ''
  return (
    `${thousands(images)} images in ${duration(seconds)} (${three(images / seconds)} images/s) ` +
    `on ${device}${failures}`
  )
}
