/**
 * AdamW over flat buffers: every trained parameter is a view of one float32 buffer, so that a step is a norm and a few
 * kernels whatever the number of parameters. Which parameters decay is their spec's (models/params.ts); schedules are
 * schedule.ts.
 */
import type { Device } from '../native.js'
import { empty, sizeOf, type Tensor, tensor, view, zeros } from '../tensor.js'

export interface OptimizerEntry {
  readonly name: string
  readonly shape: readonly number[]
  /** Whether weight decay applies: matrices and kernels, not biases, norms, embeddings and positions. */
  readonly decay: boolean
  /** Parameters of the encoder may have a learning rate of their own. */
  readonly group: 'encoder' | 'decoder'
}

interface Range {
  readonly group: OptimizerEntry['group']
  readonly decay: boolean
  readonly weight: Tensor
  readonly m: Tensor
  readonly v: Tensor
  readonly grad: Tensor
}

export interface Optimizer {
  /** Flat [n]: weights, first and second moments. */
  readonly weight: Tensor
  readonly m: Tensor
  readonly v: Tensor
  /** [4]: learning rate, steps taken, steps skipped, skipped in a row. */
  readonly state: Tensor
  /** [1]: L2 norm of the last gradients, before clipping. */
  readonly norm: Tensor
  /** Flat [n]: gradients. */
  readonly grad: Tensor
  /** Parameters by name, each a view of `weight`; a gradient view for each. */
  readonly views: ReadonlyMap<string, Tensor>
  readonly gradViews: readonly Tensor[]
  readonly ranges: readonly Range[]
}

export interface OptimizerOptions {
  readonly learningRate: number
  /** Learning rate of the encoder's parameters. */
  readonly encoderLearningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
  /** Largest norm of all gradients together; 0: no clipping. */
  readonly clipNorm: number
}

// A view begins on a 64-byte line, so that kernels may use aligned loads.
const alignment = 16

/** Flat buffers for `entries`; the views' values are uninitialised. All tensors belong to the caller's scope. */
export function createOptimizer(entries: readonly OptimizerEntry[], device: Device): Optimizer {
  const groups = (['encoder', 'decoder'] as const).flatMap((group) =>
    [true, false].map((decay) => ({
      group,
      decay,
      entries: entries.filter((e) => e.group === group && e.decay === decay),
    })),
  )
  const padded = (entry: OptimizerEntry) => Math.ceil(sizeOf(entry.shape) / alignment) * alignment
  const total = entries.reduce((sum, entry) => sum + padded(entry), 0)
  const [weight, m, v, grad] = [0, 1, 2, 3].map(() => zeros([total], 'float32', device)) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ]
  const places = new Map<string, number>()
  const ranges: Range[] = []
  let at = 0
  for (const { group, decay, entries: members } of groups) {
    const start = at
    for (const entry of members) {
      places.set(entry.name, at)
      at += padded(entry)
    }
    if (at === start) continue
    const part = (t: Tensor) => view(t, [at - start], start)
    ranges.push({ group, decay, weight: part(weight), m: part(m), v: part(v), grad: part(grad) })
  }
  const viewsOf = (t: Tensor) =>
    entries.map((entry) => view(t, entry.shape, places.get(entry.name) ?? 0))
  const views = viewsOf(weight)
  return {
    weight,
    m,
    v,
    grad,
    state: tensor([0, 0, 0, 0], [4], device),
    norm: empty([1], 'float32', device),
    views: new Map(entries.map((entry, i) => [entry.name, views[i] as Tensor])),
    gradViews: viewsOf(grad),
    ranges,
  }
}

/**
 * Adds the gradients of one batch to the flat buffer, or puts them there.
 * @param grads in the order of `entries`; undefined where the loss does not depend on the parameter
 */
export function collectGradients(
  optimizer: Optimizer,
  grads: readonly (Tensor | undefined)[],
  first: boolean,
): void {
  const { kernels } = optimizer.grad.device
  if (first) kernels.fill(optimizer.grad, 0)
  for (const [i, grad] of grads.entries()) {
    const target = optimizer.gradViews[i]
    if (!grad || !target) continue
    if (first) kernels.copy(target, grad)
    else kernels.accumulate(target, grad)
  }
}

/**
 * One step on the collected gradients. Gradients that are not finite change nothing and are counted in `state`.
 * Source: Loshchilov and Hutter 2019, arXiv:1711.05101 (decoupled weight decay).
 */
export function optimizerStep(optimizer: Optimizer, options: OptimizerOptions): void {
  const { kernels } = optimizer.grad.device
  kernels.fill(view(optimizer.state, [1]), options.learningRate)
  kernels.gradientNorm(optimizer.norm, optimizer.grad)
  kernels.advanceStep(optimizer.state, optimizer.norm)
  // At a learning rate of 0, where schedules begin or end, both groups stand still.
  const encoderScale =
    options.learningRate === 0 ? 0 : options.encoderLearningRate / options.learningRate
  for (const { group, decay, weight, m, v, grad } of optimizer.ranges)
    kernels.adamw(
      weight,
      m,
      v,
      grad,
      optimizer.norm,
      optimizer.state,
      group === 'encoder' ? encoderScale : 1,
      options.beta1,
      options.beta2,
      options.epsilon,
      decay ? options.weightDecay : 0,
      options.clipNorm,
    )
}
