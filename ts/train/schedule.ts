/** The learning rate of a step: warm-up, then cosine, constant, or lowered when validation stalls. */
import type { TrainConfig } from './config.js'

/**
 * Share of the peak learning rate.
 * @param step     optimizer steps done before this one
 * @param progress 0-1: share of the run that is over
 * @param plateau  product of the reductions that stalled validations have caused; 1 at the start
 * Source of the cosine: Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
 */
export function learningRateFactor(
  schedule: TrainConfig['schedule'],
  step: number,
  progress: number,
  plateau: number,
): number {
  const warm = Math.min(1, (step + 1) / Math.max(1, schedule.warmupSteps))
  return warm * Math.max(schedule.minFactor, decayed(schedule.name, progress, plateau))
}

function decayed(name: TrainConfig['schedule']['name'], progress: number, plateau: number): number {
  if (name === 'cosine') return 0.5 * (1 + Math.cos(Math.PI * Math.min(1, progress)))
  return name === 'plateau' ? plateau : 1
}
