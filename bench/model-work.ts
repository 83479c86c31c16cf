/** Operations that training and captioning ask for, whoever does them: what a rate in TFLOP/s is made of. */
import { countFlops, type Flops } from '../ts/models/flops.js'
import type { FixedSearch, Workload } from './workload.js'

const sum = (flops: Flops) => [...flops.values()].reduce((total, value) => total + value, 0)

/**
 * Operations of a training step: those of the forward pass, and twice as many for the gradients of what is trained. The
 * products inside attention, norms and the optimizer, a few per cent, do not count, nor do pads.
 */
export function trainingFlops({ run, pictures, features }: Workload): number {
  const { encoder, memory, token } = countFlops(run.model)
  const { batchSize } = run.config
  const captions = run.captions.flat()
  const positions = captions.reduce((total, ids) => total + ids.length + 1, 0)
  const encodings = features.length > 0 ? 0 : run.frozenStages > 0 ? 1 : 3
  return (
    batchSize * (encodings * sum(encoder) + 3 * sum(memory)) +
    3 * sum(token) * positions * (batchSize / pictures.length)
  )
}

/** Operations of captioning one batch. */
export function captioningFlops({ run }: Workload, { batch, beams, tokens }: FixedSearch): number {
  const { encoder, memory, token } = countFlops(run.model)
  return batch * (sum(encoder) + sum(memory) + beams * tokens * sum(token))
}
