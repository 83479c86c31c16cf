/** What a training run tells its trackers; how each of them keeps it is its own file's business. */
import { noteRun } from '../../report/training.js'
import { configToYaml } from '../config.js'
import type { ValidationProgress } from '../events.js'
import type { Run } from '../prepare.js'
import type { TrainResult } from '../train.js'
import { openTrackers } from './open.js'
import { trackSamples } from './samples.js'
import type { Outcome, Tracker } from './tracker.js'

export type Trackers = Required<Tracker>

/** Opens the trackers that the config names and the live page, tells them the settings, and notes the run's facts. */
export async function trackRun(run: Run, dashboard: number | undefined): Promise<Trackers> {
  const trackers = await openTrackers({
    trackers: run.config.trackers,
    dashboard,
    folder: run.folder,
    config: run.config,
    startStep: run.state.step,
    warn: (text) => run.tell({ kind: 'warning', text }),
    message: (text) => run.tell({ kind: 'message', text }),
  })
  await noteRun(run)
  if (run.state.step === 0) await trackers.text('config', configToYaml(run.config))
  return trackers
}

/** A validation's figures, and its sample captions with their pictures. */
export async function trackValidation(
  trackers: Trackers,
  validation: ValidationProgress,
): Promise<void> {
  await trackers.log({ kind: 'validation', ...validation })
  await trackSamples(trackers, validation)
}

/** How a run ended that gave this result, or none. */
export function outcomeOf(result: TrainResult | undefined): Outcome {
  if (!result) return 'failed'
  return result.interrupted ? 'interrupted' : 'finished'
}
