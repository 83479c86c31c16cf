/** What a run must remember besides its tensors, to go on exactly where it was. */
import { z } from 'zod'
import { CheckpointError } from '../errors.js'

const schema = z.object({
  /** Optimizer steps done, skipped ones included. */
  step: z.int().min(0),
  /** The best validation and when; null before the first. */
  best: z
    .object({ step: z.int(), loss: z.number(), bleu4: z.number(), cider: z.number() })
    .nullable(),
  lastLoss: z.number().nullable(),
  /** Validations since the best one. */
  stalled: z.int(),
  /** Product of the plateau schedule's reductions, and validations since the last. */
  plateau: z.object({ factor: z.number(), stalled: z.int() }),
  /** Seconds, images and captions of training steps so far. */
  seconds: z.number(),
  images: z.int(),
  captions: z.int(),
  skipped: z.int(),
  /** Hash of what must not change between a run and its resumption. */
  fingerprint: z.string(),
})

export type RunState = z.output<typeof schema>

export function freshState(fingerprint: string): RunState {
  return {
    step: 0,
    best: null,
    lastLoss: null,
    stalled: 0,
    plateau: { factor: 1, stalled: 0 },
    seconds: 0,
    images: 0,
    captions: 0,
    skipped: 0,
    fingerprint,
  }
}

/** @throws CheckpointError when the state is not one, or belongs to a run with other settings */
export function readState(state: unknown, fingerprint: string, path: string): RunState {
  const parsed = schema.safeParse(state)
  if (!parsed.success)
    throw new CheckpointError(
      `reading ${path}: ${parsed.error.issues[0]?.path.join('.')}: ${parsed.error.issues[0]?.message}. ` +
        'The checkpoint comes from another version of captioneer: start the run anew',
    )
  if (parsed.data.fingerprint !== fingerprint)
    throw new CheckpointError(
      `resuming from ${path}: the data, model or optimizer settings differ from the run that saved it. ` +
        'Resume with the same settings, or start anew with another --out',
    )
  return parsed.data
}
