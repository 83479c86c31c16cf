/** `captioneer caption` without --format: captions as they are ready on stdout, or all as one JSON document. */
import { buffer } from 'node:stream/consumers'
import type { Captioner, CaptionResult } from '../captioner.js'
import type { ImageInput } from '../data/image.js'
import { findPictures } from '../folders/find-pictures.js'
import type { CaptionFlags } from './caption.js'
import { captionAllOptions, resultRow, showRate } from './caption-shared.js'
import { exitCodes } from './failure.js'
import { noteFallback } from './fallback.js'
import { duration, thousands, three } from './format.js'
import { given } from './options.js'
import { createProgressBar } from './progress-bar.js'
import { note, print, printJson } from './terminal.js'

/** A picture by the name that results give it. */
interface NamedInput {
  readonly name: string
  readonly input: ImageInput
}

export async function printCaptions(words: readonly string[], flags: CaptionFlags): Promise<void> {
  const pictures = await inputsOf(words, flags.recursive ?? false)
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
  for await (const [{ name, input }, result] of captioned(captioner, pictures, flags)) {
    const attention = result.error ? undefined : await writeAttention?.(name, input, result)
    if (result.error) {
      failed++
      if (bar) bar.note(result.error.message)
      else note(result.error.message)
    } else if (!flags.json) print(captionText(name, result, pictures.length > 1))
    results.push({ ...resultRow(name, result), ...given({ attention }) })
    if (bar && pictures.length > 1) showRate(bar, results.length, pictures.length, started)
  }
  bar?.end()
  if (flags.json) printJson({ results })
  if (pictures.length > 1) note(closing(results.length, failed, started, captioner.device))
  if (failed === pictures.length) process.exitCode = exitCodes.failure
}

async function inputsOf(words: readonly string[], recursive: boolean): Promise<NamedInput[]> {
  const inputs: NamedInput[] = []
  for (const word of words) {
    if (word === '-') inputs.push({ name: '-', input: await buffer(process.stdin) })
    else {
      const { pictures, passedOver } = await findPictures([word], { recursive })
      for (const { path, reason } of passedOver) note(`passed over ${path}: ${reason}`)
      for (const { path } of pictures) inputs.push({ name: path, input: path })
    }
  }
  return inputs
}

async function* captioned(
  captioner: Captioner,
  pictures: readonly NamedInput[],
  flags: CaptionFlags,
): AsyncGenerator<[picture: NamedInput, result: CaptionResult<ImageInput>]> {
  const options = { ...captionAllOptions(flags), attention: flags.attention !== undefined }
  let next = 0
  const inputs = pictures.map(({ input }) => input)
  for await (const result of captioner.captionAll(inputs, options)) {
    const picture = pictures[next++]
    if (picture) yield [picture, result]
  }
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

function closing(images: number, failed: number, started: number, device: string): string {
  const seconds = (performance.now() - started) / 1000
  const failures = failed > 0 ? `, ${thousands(failed)} failed` : ''
  return (
    `${thousands(images)} images in ${duration(seconds)} (${three(images / seconds)} images/s) ` +
    `on ${device}${failures}`
  )
}
