/** Which of two validations is better: for the model that is kept, the plateau schedule and early stopping. */
import type { TrainConfig } from './config.js'

export type Metric = NonNullable<TrainConfig['validation']['metric']>

/** The figures of a validation that may be compared. */
export type Scores = Readonly<Record<Metric, number>>

/** What a run compares validations by: self-critical training lets the loss rise. */
export function metricOf({ validation, selfCritical }: TrainConfig): Metric {
  return validation.metric ?? (selfCritical ? 'cider' : 'loss')
}

/** Whether `scores` are better than the `best` so far, of which there may be none. A figure that is not finite never is. */
export function isBetter(metric: Metric, scores: Scores, best: Scores | null): boolean {
  const sign = metric === 'loss' ? -1 : 1
  return Number.isFinite(scores[metric]) && (!best || sign * (scores[metric] - best[metric]) > 0)
}
