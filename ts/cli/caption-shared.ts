/** What `captioneer caption` does alike, whether captions are printed or written into files. */
import type { Caption, CaptionAllOptions } from '../captioner.js'
import type { ImageError } from '../errors.js'
import type { CaptionFlags } from './caption.js'
import { decodingOf } from './decoding-flags.js'
import { three } from './format.js'
import { given } from './options.js'
import type { ProgressBar } from './progress-bar.js'

export function captionAllOptions(flags: CaptionFlags): CaptionAllOptions {
  const { numCaptions, seed, batchSize } = flags
  return { ...decodingOf(flags), ...given({ numCaptions, seed, batchSize }) }
}

/** A picture's entry in the document of --json. */
export function resultRow(
  image: string,
  result:
    | (Caption & { readonly error?: undefined })
    | { readonly error: Pick<ImageError, 'message'> },
): object {
  if (result.error) return { image, error: result.error.message }
  const { text, score, tokens } = result
  const captions = result.captions?.map(({ attention: _, ...caption }) => caption)
  return { image, caption: text, score, tokens, ...given({ captions }) }
}

/** @param started when the first picture was, milliseconds */
export function showRate(bar: ProgressBar, done: number, total: number, started: number): void {
  const perSecond = (1000 * done) / (performance.now() - started)
  // The first comes with its whole batch, so its time says nothing of the others'.
  const known = done > 1
  bar.update({
    label: 'captioning',
    done,
    total,
    facts: known ? [`${three(perSecond)} images/s`] : [],
    ...(known ? { secondsLeft: (total - done) / perSecond } : {}),
  })
}
