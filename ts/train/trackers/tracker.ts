/**
 * The one interface of all places that a run tells of itself: a file, TensorBoard, Weights & Biases, MLflow, a live page.
 * Which ones a run has is open.ts. A tracker works in the background and never throws for what happens there: it calls
 * `fail`, which warns once, and training goes on.
 */
import type { StepProgress, ValidationProgress } from '../events.js'

/** Names in the config; history.jsonl is not among them, as every run has it. */
export const trackerNames = ['tensorboard', 'wandb', 'mlflow'] as const
export type TrackerName = (typeof trackerNames)[number]

/** What a step or a validation measured. */
export type TrackedRow =
  | ({ readonly kind: 'step' } & StepProgress)
  | ({ readonly kind: 'validation' } & ValidationProgress)

/** A validation picture with the caption that the model writes for it at `step`. */
export interface TrackedImage {
  readonly step: number
  /** Id of the image in the data set. */
  readonly name: string
  /** PNG file of the picture, at most 256 pixels a side. */
  readonly png: Uint8Array
  readonly caption: string
  readonly references: readonly string[]
}

/** How a run ended. */
export type Outcome = 'finished' | 'interrupted' | 'failed'

export interface Tracker {
  readonly name: string
  log(row: TrackedRow): Promise<void> | void
  /** A text that is said once, such as the run's settings. */
  text?(name: string, text: string): Promise<void> | void
  image?(image: TrackedImage): Promise<void> | void
  /** Delivers what is still under way, within a minute. */
  close(outcome: Outcome): Promise<void>
}

/** What a tracker is opened with. */
export interface TrackedRun {
  /** The run folder; it exists. */
  readonly folder: string
  /** All settings of the run, nested as they are. */
  readonly config: object
  /** Steps done before: 0, or where a resumed run goes on. */
  readonly startStep: number
  /** Tells the user that the tracker does not work, and what to do; only the first time counts. */
  readonly fail: (reason: string) => void
}

/** The numbers of a row by name: `train/loss`, `validation/bleu4`, ...; those that are not finite are left out. */
export function metricsOf(row: TrackedRow): Record<string, number> {
  const { step, kind, ...values } = row
  const prefix = kind === 'step' ? 'train' : 'validation'
  const without = new Set(kind === 'step' ? ['steps', 'secondsLeft'] : ['epoch'])
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]): [string, number][] =>
      typeof value === 'number' && Number.isFinite(value) && !without.has(name)
        ? [[`${prefix}/${name}`, value]]
        : [],
    ),
  )
}
