/** What the server answers, as far as the page shows it; docs/serving.md has the whole. */

/** How much a word took from each cell of a map that lies over the picture, rows from the top. */
export interface WordWeights {
  readonly word: string
  /** [height * width], 0 to 1. */
  readonly weights: readonly number[]
}

export interface AttentionMap {
  readonly width: number
  readonly height: number
  readonly words: readonly WordWeights[]
}

/** A caption with its score: log-probability by length, nats. */
export interface ScoredCaption {
  readonly caption: string
  readonly score: number
  readonly attention?: AttentionMap
}

export interface CaptionReply extends ScoredCaption {
  /** The best ones, best first, when more than one was asked for. */
  readonly captions?: readonly ScoredCaption[]
  readonly model?: string
}

/** A model that the server offers. */
export interface OfferedModel {
  readonly id: string
  readonly device: string
  readonly parameters: number
  /** Whether the model sees the whole picture squashed into a square, or the square in its middle. */
  readonly image: { readonly size: number; readonly resize: 'squash' | 'crop' }
}

/** A picture that visitors can try. */
export interface ExamplePicture {
  readonly url: string
  readonly title: string
}
