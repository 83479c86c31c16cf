/** `captioneer alt`: alt text for the images of documents that lack it. Finding and placing it is the business of alt/. */
import { statSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import type { Command } from 'commander'
import { documentPaths, readDocument, writeDocument } from '../alt/document.js'
import {
  type FileCaption,
  filesOf,
  type Proposal,
  proposalsFor,
  type ReviewedDocument,
  reviewDocument,
  withAltTexts,
} from '../alt/propose.js'
import { ArgumentError, CaptioneerError } from '../errors.js'
import type { DeviceName } from '../native.js'
import { altRows, countsLine, paintedDiff, printDiff, reportMissing } from './alt-report.js'
import { showRate } from './caption-shared.js'
import { addDecodingFlags, type DecodingFlags, decodingOf } from './decoding-flags.js'
import { exitCodes } from './failure.js'
import { noteFallback } from './fallback.js'
import { shownPath, three } from './format.js'
import { deviceOption, given, jsonFlags, numberFrom, wholeNumber } from './options.js'
import { createProgressBar } from './progress-bar.js'
import { note, printJson } from './terminal.js'

export interface AltFlags extends DecodingFlags {
  readonly model?: string
  readonly root?: string
  readonly write?: true
  readonly check?: true
  readonly maxLength: number
  readonly minConfidence: number
  readonly batchSize?: number
  readonly device: DeviceName
  readonly json?: true
}

export function addAltCommand(program: Command): void {
  const command = program
    .command('alt')
    .summary('propose alt text for images in HTML and Markdown')
    .description(
      'Propose alt text for the images of HTML and Markdown documents that have none, and show it as a diff. Nothing is ' +
        'written without --write, and nothing else in a document is changed. Images that have an alt text, an empty one ' +
        'too, or are decorative, are left alone. Only files of this machine are read, nothing is fetched.',
    )
    .argument('<documents...>', 'HTML or Markdown files, or folders of them')
    .option('--model <folder>', 'model or run folder')
    .option('--write', 'write the documents')
    .option('--check', 'only list what lacks alt text; exit code 1 if anything does')
    .option(
      '--root <folder>',
      'what addresses from / are below (default: the folder given, if one is)',
    )
    .option(
      '--max-length <n>',
      'longest alt text, characters; cut at a word',
      wholeNumber(20, 1000),
      125,
    )
    .option(
      '--min-confidence <x>',
      'propose none of which the model is less sure, 0-1',
      numberFrom(0, 1),
      0,
    )
  addDecodingFlags(command)
    .option('--batch-size <n>', 'images captioned together (default: 32)', wholeNumber(1, 4096))
    .addOption(deviceOption())
    .option(...jsonFlags)
    .addHelpText('after', help)
    .action(run)
}

const help = `
Read every proposal before you publish it: a model does not know why an image is there. An image that only decorates
wants alt="".

Examples:
  captioneer alt page.html --model ./runs/first
  captioneer alt page.html --model ./runs/first --write
  captioneer alt ./site --model ./runs/first --root ./site/public > alt.patch
  captioneer alt README.md docs --check
  captioneer alt ./site --model ./runs/first --min-confidence 0.3 --json > alts.json
`

async function run(words: readonly string[], flags: AltFlags): Promise<void> {
  if (flags.check && flags.write)
    throw new ArgumentError('alt: --check changes nothing, and --write does; give one of them')
  if (!flags.check && flags.model === undefined)
    throw new ArgumentError('alt: expected --model, the folder of the model that proposes')
  const { reviews, failures } = await review(words, flags.root)
  for (const { message } of failures) note(message)
  if (reviews.length === 0) {
    if (flags.json) printJson({ documents: [], failures })
    process.exitCode = exitCodes.failure
    return
  }
  if (flags.check) reportMissing(reviews, failures, flags.json ?? false)
  else await propose(reviews, failures, flags)
}

interface Failure {
  readonly path: string
  readonly message: string
}

async function review(words: readonly string[], root: string | undefined) {
  const reviews: ReviewedDocument[] = []
  const failures: Failure[] = []
  const seen = new Set<string>()
  for (const word of words) {
    const isFolder = statSync(word, { throwIfNoEntry: false })?.isDirectory() ?? false
    for (const path of await documentPaths(word)) {
      // Named twice, or by a link too, it would be written over what was just written.
      const file = await realpath(path).catch(() => path)
      if (seen.has(file)) continue
      seen.add(file)
      try {
        const document = await readDocument(path)
        reviews.push(reviewDocument(document, root ?? (isFolder ? word : undefined)))
      } catch (error) {
        if (!(error instanceof CaptioneerError)) throw error
        failures.push({ path, message: error.message })
      }
    }
  }
  return { reviews, failures }
}

async function propose(
  reviews: readonly ReviewedDocument[],
  failures: readonly Failure[],
  flags: AltFlags,
): Promise<void> {
  const captions = await captionFiles(filesOf(reviews), flags)
  const documents: object[] = []
  const all: Proposal[] = []
  let refused = 0
  for (const one of reviews) {
    const { document } = one
    const proposals = proposalsFor(one, captions, flags.maxLength)
    all.push(...proposals)
    const text = withAltTexts(document, proposals)
    const isChanged = text !== document.text
    let written = false
    let refusal: string | undefined
    if (isChanged && flags.write) {
      refusal = await writeOrReason(() => writeDocument(document, text))
      written = refusal === undefined
    }
    if (refusal !== undefined) {
      refused++
      note(refusal)
    }
    const diff = isChanged ? await paintedDiff(document, text, flags.json ?? false) : undefined
    if (diff !== undefined && !flags.json) printDiff(document, diff)
    for (const { image, reason } of proposals)
      if (reason !== undefined)
        note(
          `${shownPath(document.path)}:${image.line}:${image.column}: ${image.src ?? 'img'}: ${reason}`,
        )
    documents.push({ ...altRows(one, proposals), written, ...given({ diff, error: refusal }) })
  }
  if (flags.json) printJson({ documents, failures })
  note(countsLine(reviews, all, flags.write ?? false))
  const tried = all.filter(({ file }) => file !== undefined)
  const isUseless = tried.length > 0 && tried.every(({ alt }) => alt === undefined)
  if (refused > 0 || isUseless) process.exitCode = exitCodes.failure
}

async function captionFiles(
  files: readonly string[],
  flags: AltFlags,
): Promise<ReadonlyMap<string, FileCaption>> {
  const captions = new Map<string, FileCaption>()
  if (files.length === 0) return captions
  const { loadCaptioner } = await import('../captioner.js')
  const { confidenceOf } = await import('../folders/confidence.js')
  await noteFallback('captioning', flags.device)
  using captioner = await loadCaptioner(flags.model ?? '', { device: flags.device })
  const bar = createProgressBar(process.stderr)
  const started = performance.now()
  const options = { ...decodingOf(flags), ...given({ batchSize: flags.batchSize }) }
  const lengthPenalty = flags.lengthPenalty ?? captioner.lengthPenalty
  for await (const result of captioner.captionAll(files, options)) {
    const confidence = result.error ? 1 : confidenceOf(result, lengthPenalty)
    const unsure = confidence < flags.minConfidence
    const reason = unsure
      ? `not proposed, confidence ${three(confidence)}: ${result.text}`
      : result.error?.message
    const { text = '', score = 0 } = result.error ? {} : result
    captions.set(result.image, reason === undefined ? { text, score } : { reason })
    showRate(bar, captions.size, files.length, started)
  }
  bar.end()
  return captions
}

async function writeOrReason(write: () => Promise<void>): Promise<string | undefined> {
  try {
    await write()
    return undefined
  } catch (error) {
    if (error instanceof CaptioneerError) return error.message
    throw error
  }
}
