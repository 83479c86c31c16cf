/** Captions pictures into their destination. What is to be done was planned before; showing it is the caller's. */
import type { Caption, CaptionAllOptions, Captioner } from '../captioner.js'
import { CaptioneerError } from '../errors.js'
import { systemCode } from '../files/system-error.js'
import { confidenceOf } from './confidence.js'
import type { Destination, Planned } from './destination.js'

/** What became of a picture. */
export type Outcome = { readonly planned: Planned } & (
  | { readonly kind: 'written'; readonly caption: Caption }
  | { readonly kind: 'unsure'; readonly caption: Caption; readonly confidence: number }
  | { readonly kind: 'failed'; readonly reason: string }
)

export interface CaptionPicturesOptions {
  readonly captioner: Captioner
  readonly options: CaptionAllOptions
  /** Captions of which the model is less sure, 0-1, are not written. */
  readonly minConfidence: number
}

// Every other picture would fail for these, too.
const FATAL = ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO']

/**
 * Captions and writes them in order, each as soon as it is there.
 * @throws CheckpointError when the disk takes no more; the signal's reason when it is aborted
 */
export async function* captionPictures(
  planned: readonly Planned[],
  destination: Destination,
  { captioner, options, minConfidence }: CaptionPicturesOptions,
): AsyncGenerator<Outcome> {
  let next = 0
  const lengthPenalty = options.lengthPenalty ?? captioner.lengthPenalty
  const paths = planned.map(({ picture }) => picture.path)
  for await (const result of captioner.captionAll(paths, options)) {
    const item = planned[next++]
    if (!item) return
    if (result.error) {
      yield { planned: item, kind: 'failed', reason: result.error.message }
      continue
    }
    const confidence = confidenceOf(result, lengthPenalty)
    if (confidence < minConfidence)
      yield { planned: item, kind: 'unsure', caption: result, confidence }
    else yield await written(item, destination, result)
  }
}

async function written(
  planned: Planned,
  destination: Destination,
  caption: Caption,
): Promise<Outcome> {
  try {
    await destination.write(planned, caption)
    return { planned, kind: 'written', caption }
  } catch (error) {
    if (!(error instanceof CaptioneerError) || FATAL.includes(systemCode(error.cause) ?? ''))
      throw error
    return { planned, kind: 'failed', reason: error.message }
  }
}
