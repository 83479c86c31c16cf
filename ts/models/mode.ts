/** How a model runs: training or inference, and what only one of the two needs. */
import type { Tensor } from '../tensor.js'

/** Convolutions with their batch norm folded in, by weight; valid while the weights do not change. */
export type FoldCache = Map<Tensor, { readonly weight: Tensor; readonly bias: Tensor }>

export interface Mode {
  readonly training: boolean
  /** int32 [3]: seed (low, high), step; dropout's random numbers. Absent: no dropout. */
  readonly rng?: Tensor | undefined
  /** Gives every dropout of a forward pass a number of its own. */
  readonly nextTag: () => number
  /** The encoder's first stages that run with running statistics and without gradients. */
  readonly frozenStages: number
  readonly folds: FoldCache
}

/** Inference: no dropout, running statistics. Hold the cache as long as the weights stay, then `dropFolds` it. */
export function inferenceMode(folds: FoldCache = new Map()): Mode {
  return {
    training: false,
    nextTag: () => 0,
    frozenStages: Number.POSITIVE_INFINITY,
    folds,
  }
}

/** Training: dropout by `rng`; the encoder's first `frozenStages` stages stay as they are. */
export function trainingMode(
  rng: Tensor | undefined,
  frozenStages: number,
  folds: FoldCache,
): Mode {
  let tag = 0
  return { training: true, rng, nextTag: () => tag++, frozenStages, folds }
}

/** Frees the folded convolutions. */
export function dropFolds(folds: FoldCache): void {
  for (const { weight, bias } of folds.values()) {
    weight.release()
    bias.release()
  }
  folds.clear()
}
