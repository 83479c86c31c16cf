/**
 * Optimizers over flat buffers: every trained parameter is a view of one float32 buffer, so that a step is a norm and a few
 * kernels whatever the number of parameters. In bfloat16 the model computes with a rounded copy of that buffer, which each
 * step renews. Which parameters decay is their spec's (models/params.ts); schedules are schedule.ts.
 */
import type { Device } from '../native.js'
import type { FloatDtype } from '../ops/define-op.js'
import { empty, sizeOf, type Tensor, tensor, unscoped, view, zeros } from '../tensor.js'
import type { TrainConfig } from './config.js'

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
  readonly half: Tensor | undefined
  readonly m: Tensor
  readonly v: Tensor | undefined
  readonly grad: Tensor
}

export interface Optimizer {
  /** Flat [n]: weights, first and second moments; SGD has no second. */
  readonly weight: Tensor
  /** Flat [n]: the weights rounded to bfloat16, when the model computes in it. */
  readonly half: Tensor | undefined
  readonly m: Tensor
  readonly v: Tensor | undefined
  /** Flat [n]: the moving average of the weights, when one is kept. */
  readonly average: Tensor | undefined
  /** [4]: learning rate, steps taken, steps skipped, skipped in a row. */
  readonly state: Tensor
  /** [1]: L2 norm of the last gradients, before clipping. */
  readonly norm: Tensor
  /** Flat [n]: gradients. */
  readonly grad: Tensor
  /** In the order of `entries`: float32 views of `weight`, what the model computes with, and views of `grad`. */
  readonly masters: readonly (readonly [name: string, weight: Tensor])[]
  readonly views: readonly Tensor[]
  readonly gradViews: readonly Tensor[]
  readonly ranges: readonly Range[]
}

/**
 * The optimizers by name: the kernel's rule, and whether weight decay is decoupled from the gradient. Sources: Kingma and
 * Ba 2015, arXiv:1412.6980 (Adam); Loshchilov and Hutter 2019, arXiv:1711.05101 (decoupled decay); Zhuang et al. 2020,
 * arXiv:2010.07468, algorithm 2 (AdaBelief); Sutskever et al. 2013 (momentum), as PyTorch's SGD without dampening.
 */
const rules = {
  adamw: { rule: 0, decoupled: true },
  adam: { rule: 0, decoupled: false },
  adabelief: { rule: 1, decoupled: false },
  adabeliefw: { rule: 1, decoupled: true },
  sgdm: { rule: 2, decoupled: false },
} as const satisfies Record<OptimizerName, object>

export type OptimizerName = TrainConfig['optimizer']['name']

export interface OptimizerOptions {
  readonly name: OptimizerName
  /** Learning rate of the encoder's parameters, as a multiple of the others'. */
  readonly encoderScale: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  /** Of `sgdm`, in place of beta1. */
  readonly momentum: number
  /** Smaller steps while the second moment is uncertain (RAdam: Liu et al. 2020, arXiv:1908.03265); not of `sgdm`. */
  readonly rectify: boolean
  readonly weightDecay: number
  /** Largest norm of all gradients together; 0: no clipping. */
  readonly clipNorm: number
  /** Largest size of each element of the gradient, after that; 0: no clipping. */
  readonly clipValue: number
}

export interface OptimizerBuffers {
  /** What the model computes in: with bfloat16 the views of two axes and more are of `half`; float32 when left out. */
  readonly dtype?: FloatDtype
  /** Whether a moving average of the weights is kept. */
  readonly average?: boolean
}

// Elements. A view begins at a multiple of 256 bytes, 128 in bfloat16: what TMA and 16-byte loads ask for, and more.
const alignment = 64

/** Flat buffers for `entries`, all zero; write `masters`, then `refreshHalf` and `startAverage`. All tensors belong to the caller's scope. */
export function createOptimizer(
  name: OptimizerName,
  entries: readonly OptimizerEntry[],
  device: Device,
  { dtype = 'float32', average = false }: OptimizerBuffers = {},
): Optimizer {
  const groups = (['encoder', 'decoder'] as const).flatMap((group) =>
    [true, false].map((decay) => ({
      group,
      decay,
      entries: entries.filter((e) => e.group === group && e.decay === decay),
    })),
  )
  const padded = (entry: OptimizerEntry) => Math.ceil(sizeOf(entry.shape) / alignment) * alignment
  const total = entries.reduce((sum, entry) => sum + padded(entry), 0)
  const buffer = () => zeros([total], 'float32', device)
  const [weight, m, grad] = [buffer(), buffer(), buffer()]
  const v = name === 'sgdm' ? undefined : buffer()
  const half = dtype === 'bfloat16' ? zeros([total], dtype, device) : undefined
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
    ranges.push({
      group,
      decay,
      weight: part(weight),
      half: half && part(half),
      m: part(m),
      v: v && part(v),
      grad: part(grad),
    })
  }
  const viewOf = (t: Tensor, { name, shape }: OptimizerEntry) =>
    view(t, shape, places.get(name) ?? 0)
  const masters = entries.map((entry) => [entry.name, viewOf(weight, entry)] as const)
  return {
    weight,
    half,
    m,
    v,
    average: average ? buffer() : undefined,
    grad,
    state: tensor([0, 0, 0, 0], [4], device),
    norm: empty([1], 'float32', device),
    masters,
    views: masters.map(([, master], i) => {
      const entry = entries[i]
      return half && entry && entry.shape.length > 1 ? viewOf(half, entry) : master
    }),
    gradViews: entries.map((entry) => viewOf(grad, entry)),
    ranges,
  }
}

/** Rounds the weights anew, after they were written from the host. */
export function refreshHalf({ weight, half }: Optimizer): void {
  if (half) weight.device.kernels.copy(half, weight)
}

/** Lets the average begin at the weights. */
export function startAverage({ weight, average }: Optimizer): void {
  if (average) weight.device.kernels.copy(average, weight)
}

/**
 * Adds the gradients of one batch to the flat buffer, or puts them there unless they are there.
 * @param grads in the order of `entries`; undefined where the loss does not depend on the parameter
 */
export function collectGradients(
  optimizer: Optimizer,
  grads: readonly (Tensor | undefined)[],
  first: boolean,
): void {
  const { kernels } = optimizer.grad.device
  for (const [i, target] of optimizer.gradViews.entries()) {
    const grad = grads[i]
    if (!first && grad) kernels.accumulate(target, grad)
    else if (first && !grad) kernels.fill(target, 0)
    else if (first && grad && grad !== target) kernels.copy(target, grad)
  }
}

/**
 * One step on the collected gradients, with a learning rate [1] from the device. Gradients that are not finite change
 * nothing and are counted in `state`.
 */
export function optimizerStep(
  optimizer: Optimizer,
  learningRate: Tensor,
  options: OptimizerOptions,
): void {
  const { kernels } = optimizer.grad.device
  const { rule, decoupled } = rules[options.name]
  kernels.copy(view(optimizer.state, [1]), learningRate)
  kernels.gradientNorm(optimizer.norm, optimizer.grad)
  kernels.advanceStep(optimizer.state, optimizer.norm)
  for (const { group, decay, weight, half, m, v, grad } of optimizer.ranges)
    kernels.optimizerStep(
      weight,
      half,
      m,
      v,
      grad,
      optimizer.norm,
      optimizer.state,
      rule,
      decoupled,
      options.rectify,
      group === 'encoder' ? options.encoderScale : 1,
      options.name === 'sgdm' ? options.momentum : options.beta1,
      options.beta2,
      options.epsilon,
      decay ? options.weightDecay : 0,
      options.clipNorm,
      options.clipValue,
    )
}

/**
 * Moves the average towards the weights after a step: average = d average + (1 - d) weight, d = min(decay, (1 + steps) /
 * (10 + steps)), so that it does not remember the beginning for long.
 * Source: Polyak and Juditsky 1992; the rising decay as in TensorFlow's ExponentialMovingAverage.
 */
export function averageWeights(optimizer: Optimizer, decay: number): void {
  const { average, weight, state } = optimizer
  if (average) weight.device.kernels.averageWeights(average, weight, state, decay)
}

/** Runs `body` while the model's weights are their average, where one is kept; afterwards they are what they were. */
export async function withAverage<T>(optimizer: Optimizer, body: () => Promise<T>): Promise<T> {
  const { weight, average } = optimizer
  if (!average) return body()
  const { kernels } = weight.device
  const put = (values: Tensor) => {
    kernels.copy(weight, values)
    refreshHalf(optimizer)
  }
  const kept = unscoped(() => empty(weight.shape, weight.dtype, weight.device))
  kernels.copy(kept, weight)
  put(average)
  try {
    return await body()
  } finally {
    put(kept)
    kept.release()
  }
}
