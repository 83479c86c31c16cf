/** Where captions of pictures go: what sidecars.ts and collection.ts have in common. */
import type { Caption } from '../captioner.js'
import type { Picture } from './find-pictures.js'

export const captionFormats = ['txt', 'json', 'jsonl', 'csv', 'html'] as const
export type CaptionFormat = (typeof captionFormats)[number]

/** What becomes of a caption that is there already. */
export const existingRules = ['skip', 'overwrite', 'append'] as const
export type ExistingRule = (typeof existingRules)[number]

/** A picture and what is to be done with it. */
export interface Planned {
  readonly picture: Picture
  /** The file that holds its caption, or will. */
  readonly output: string
  readonly action: 'write' | 'skip' | 'fail'
  /** Why it fails, known before it is captioned. */
  readonly reason?: string
}

export interface Plan {
  readonly planned: readonly Planned[]
  /** Whether there is something to begin and end, even if no caption is missing. */
  readonly pending: boolean
  /** Whether an earlier run that would have replaced captions was cut off, and this one does not go on with it. */
  readonly abandons: boolean
  /** What people should know of the names of files. */
  readonly remarks: readonly string[]
}

export interface Destination {
  /** Looks at what is there; changes nothing. */
  plan(pictures: readonly Picture[]): Promise<Plan>
  /** Prepares for `write`: clears away what a killed run left. */
  begin(): Promise<void>
  /** Writes one caption, whole or not at all. @throws CheckpointError when the system refuses */
  write(planned: Planned, caption: Caption): Promise<void>
  /** Ends it in good order; with `complete` false so that `resume` can go on. */
  end(complete: boolean): Promise<void>
}

export interface DestinationOptions {
  readonly ifExists: ExistingRule
  /** Go on with a run that was cut off. */
  readonly resume: boolean
  /** Put before and after each caption, as they are. */
  readonly before: string
  readonly after: string
}

/** A caption as it is written. */
export interface WrittenCaption {
  readonly text: string
  /** Rounded to four decimals. */
  readonly score: number
}

/** A picture with its captions, for a file that holds many. */
export interface CaptionRow {
  /** From the file's folder, with forward slashes. */
  readonly image: string
  readonly path: string
  /** Best first. */
  readonly captions: readonly WrittenCaption[]
}

/** The captions of a picture as they are written, best first. */
export function writtenCaptions(
  { text, score, captions = [{ text, score }] }: Caption,
  { before, after }: Pick<DestinationOptions, 'before' | 'after'>,
): WrittenCaption[] {
  return captions.map((caption) => ({
    text: `${before}${caption.text}${after}`.replaceAll(/\s*[\r\n]+\s*/g, ' '),
    score: Number(caption.score.toFixed(4)),
  }))
}
