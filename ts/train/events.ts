/** What a training run tells while it works: to a progress bar, a log, a dashboard. */
import type { FeatureProgress } from '../data/feature-cache.js'

/** After each optimizer step. */
export interface StepProgress {
  readonly step: number
  readonly steps: number
  readonly epoch: number
  /**
   * Training loss of the step, nats per token, with dropout and label smoothing; in self-critical training the loss whose
   * gradient is taken, near 0 whatever the reward.
   */
  readonly loss: number
  readonly learningRate: number
  /** L2 norm of all gradients before clipping. */
  readonly gradientNorm: number
  /** Self-critical training: mean CIDEr-D of the sampled captions, 0-10. */
  readonly reward?: number
  readonly imagesPerSecond: number
  readonly captionsPerSecond: number
  readonly secondsLeft: number
}

/** A caption beside the picture's own, after a validation. */
export interface SampleCaption {
  readonly image: string
  /** The image file. */
  readonly path: string
  readonly caption: string
  readonly references: readonly string[]
}

/** After each validation. */
export interface ValidationProgress {
  readonly step: number
  readonly epoch: number
  /** Teacher-forced, without smoothing, nats per token. */
  readonly loss: number
  readonly accuracy: number
  readonly bleu4: number
  readonly cider: number
  /** Whether this is the best so far, by the run's metric. */
  readonly best: boolean
  readonly samples: readonly SampleCaption[]
}

export type TrainEvent =
  | ({ readonly kind: 'features' } & FeatureProgress)
  | ({ readonly kind: 'validation' } & ValidationProgress)
  | { readonly kind: 'decoding'; readonly done: number; readonly images: number }
  | { readonly kind: 'message'; readonly text: string }
  | { readonly kind: 'warning'; readonly text: string }
