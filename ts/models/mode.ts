/** How a model runs: training or inference, and what only one of the two needs. */
import type { Tensor } from '../tensor.js'

/** A convolution with its batch norm folded in. */
export interface Fold {
  readonly weight: Tensor
  readonly bias: Tensor
  /** What kernels know this weight by, which stays as it is: see ops/convolution.ts. */
  readonly constant: number
}

/** Folded convolutions by weight; valid while the weights do not change. */
export type FoldCache = Map<Tensor, Fold>

let constants = 0

/** Keeps a folded convolution beyond the scope that it was made in, until `dropFolds`. */
export function keepFold(folds: FoldCache, of: Tensor, weight: Tensor, bias: Tensor): Fold {
  const fold = { weight: weight.retain(), bias: bias.retain(), constant: ++constants }
  folds.set(of, fold)
  return fold
}

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
  for (const { weight, bias, constant } of folds.values()) {
    weight.device.kernels.dropConstant(constant)
    weight.release()
    bias.release()
  }
  folds.clear()
}
