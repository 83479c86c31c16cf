/** `captioneer caption --format`: captions into files. What is there and what is missing is decided in folders/. */
import type { Captioner } from '../captioner.js'
import type { CaptionFormat, Destination, Planned } from '../folders/destination.js'
import { findPictures } from '../folders/find-pictures.js'
import type { CaptionFlags } from './caption.js'
import { destinationOf, refuseTogether } from './caption-destination.js'
import { captionAllOptions, showRate } from './caption-shared.js'
import { type CaptionSummary, createSummary } from './caption-summary.js'
import { exitCodes } from './failure.js'
import { noteFallback } from './fallback.js'
import { Interrupted, interruptible } from './interrupt.js'
import { createProgressBar } from './progress-bar.js'
import { note, print, printJson } from './terminal.js'

/** One command at work: what its passes over the folders share. */
interface Job {
  readonly words: readonly string[]
  readonly flags: CaptionFlags
  readonly format: CaptionFormat
  readonly summary: CaptionSummary
  readonly signal: AbortSignal
  /** Loads the model, the first time. */
  readonly captioner: () => Promise<Captioner>
}

export async function captionIntoFiles(
  words: readonly string[],
  flags: CaptionFlags,
  format: CaptionFormat,
): Promise<void> {
  refuseTogether(words, flags, format)
  const summary = createSummary(flags, format)
  let loaded: Captioner | undefined
  const captioner = async () => {
    if (loaded) return loaded
    const { loadCaptioner } = await import('../captioner.js')
    await noteFallback('captioning', flags.device)
    loaded = await loadCaptioner(flags.model, { device: flags.device })
    return loaded
  }
  try {
    const stopping = flags.watch ? 'no longer watching' : 'stopping after the pictures at work'
    await interruptible(stopping, async (signal) => {
      const job = { words, flags, format, summary, signal, captioner }
      if (flags.watch) await watch(job)
      else await pass(job)
    })
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error
    if (!flags.watch) process.exitCode = exitCodes.interrupted
  } finally {
    loaded?.close()
  }
  if (flags.json) printJson(summary.document())
  else print(summary.closing())
  for (const line of summary.troubles()) note(line)
  process.exitCode ??= summary.exitCode(flags.strict ?? false)
}

/** Captions what is missing: of all pictures, or of those in `only`, which are absolute paths. */
async function pass(job: Job, only?: ReadonlySet<string>): Promise<void> {
  const { words, flags, format, summary } = job
  const found = await findPictures(words, {
    recursive: flags.recursive ?? false,
    mayBeEmpty: flags.watch ?? false,
  })
  const destination = destinationOf(words, flags, format, only !== undefined)
  const plan = await destination.plan(found.pictures)
  const planned = summary.take(plan, only)
  if (!only) for (const line of summary.remarks(found, plan)) note(line)
  if (flags.dryRun) {
    if (!flags.json) for (const line of summary.intentions()) print(line)
    return
  }
  if (planned.length === 0 && !plan.pending) return
  let complete = false
  try {
    await destination.begin()
    if (planned.length > 0) await captionAll(job, planned, destination)
    complete = true
  } finally {
    await destination.end(complete)
  }
}

async function captionAll(
  { flags, summary, signal, captioner }: Job,
  planned: readonly Planned[],
  destination: Destination,
): Promise<void> {
  const { captionPictures } = await import('../folders/caption-pictures.js')
  const bar = createProgressBar(process.stderr)
  try {
    const outcomes = captionPictures(planned, destination, {
      captioner: await captioner(),
      options: { ...captionAllOptions(flags), signal },
      minConfidence: flags.minConfidence ?? 0,
    })
    const started = performance.now()
    let done = 0
    for await (const outcome of outcomes) {
      const trouble = summary.add(outcome)
      if (trouble !== undefined) bar.note(trouble)
      showRate(bar, ++done, planned.length, started)
    }
  } finally {
    bar.end()
  }
}

async function watch(job: Job): Promise<void> {
  const { words, flags, signal } = job
  const { watchFolders } = await import('../folders/watch.js')
  // Watched before they are first looked at, so that no picture falls between.
  const watching = await watchFolders(words, { recursive: flags.recursive ?? false, signal })
  try {
    await pass(job)
    note(`watching ${words.join(', ')}; Ctrl-C ends it`)
    for (;;) {
      const arrived = await watching.next()
      if (!arrived) return
      await pass(job, arrived)
    }
  } finally {
    await watching.close()
  }
}
