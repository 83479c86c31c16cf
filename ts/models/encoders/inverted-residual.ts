/**
 * The block that MobileNetV2 and EfficientNet are made of (Sandler et al. 2018, arXiv:1801.04381, section 3.3): wider, a
 * window for each channel, narrow again, with squeeze and excitation in between where there is one. Keys are theirs.
 */
import type { Activation } from '../../kernels.js'
import { adaptiveAveragePool } from '../../ops/adaptive-average-pool.js'
import { channelGate } from '../../ops/channel-gate.js'
import { linear } from '../../ops/linear.js'
import { scope, type Tensor } from '../../tensor.js'
import {
  batchNormSpec,
  type ConvolutionOptions,
  convolutionSpec,
  convolutionWithNorm,
  matrix,
} from '../layers.js'
import type { Mode } from '../mode.js'
import { type ParamsOf, param } from '../params.js'

/** What all units of a model have in common. */
export interface UnitStyle {
  readonly activation: Activation
  /** Of strided windows; it belongs to the weights, as does epsilon. */
  readonly padding: 'symmetric' | 'same'
  readonly epsilon: number
}

/** Convolution and batch norm, as torchvision's Conv2dNormActivation numbers them. */
export function unitSpec(inputs: number, outputs: number, size: number, groups = 1) {
  return [convolutionSpec(inputs, outputs, size, groups), batchNormSpec(outputs)] as const
}

export type Unit = ParamsOf<ReturnType<typeof unitSpec>>

/** activation(norm(x * weight)) */
export function applyUnit(
  [conv, norm]: Unit,
  x: Tensor,
  { activation, padding, epsilon }: UnitStyle,
  options: Omit<ConvolutionOptions, 'padding' | 'epsilon'>,
  mode: Mode,
  trains: boolean,
): Tensor {
  const [, size = 1] = conv.weight.shape
  const pad = padding === 'same' ? padding : (size - 1) / 2
  const all = { activation, padding: pad, epsilon, ...options }
  return convolutionWithNorm(conv, norm, x, all, mode, trains)
}

/** Two 1 x 1 convolutions [O, C, 1, 1] with biases, which see the average of a map. */
export function squeezeSpec(channels: number, squeezed: number) {
  const layer = (inputs: number, outputs: number) => ({
    weight: param([outputs, inputs, 1, 1], { kind: 'normal', std: Math.sqrt(2 / outputs) }),
    bias: param([outputs], { kind: 'constant', value: 0 }),
  })
  return { fc1: layer(channels, squeezed), fc2: layer(squeezed, channels) }
}

export type Squeeze = ParamsOf<ReturnType<typeof squeezeSpec>>

/** x with its channels scaled by what their averages say (Hu et al. 2017, arXiv:1709.01507). */
function squeezeAndExcite({ fc1, fc2 }: Squeeze, x: Tensor, activation: Activation): Tensor {
  const averages = adaptiveAveragePool({ x }) //                                          [B, 1, 1, C]
  const squeezed = linear(
    { x: averages, weight: matrix(fc1.weight), bias: fc1.bias },
    { activation },
  )
  return channelGate({
    x,
    gate: linear({ x: squeezed, weight: matrix(fc2.weight), bias: fc2.bias }),
  })
}

export interface InvertedResidual {
  readonly expand?: Unit | undefined
  readonly depthwise: Unit
  readonly squeeze?: Squeeze | undefined
  readonly project: Unit
}

/** project(squeeze(depthwise(expand(x)))), plus x where it has the same shape. */
export function invertedResidual(
  { expand, depthwise, squeeze, project }: InvertedResidual,
  x: Tensor,
  style: UnitStyle,
  stride: number,
  mode: Mode,
  trains: boolean,
): Tensor {
  return scope(() => {
    const wide = expand ? applyUnit(expand, x, style, {}, mode, trains) : x
    const groups = wide.shape[3] ?? 1
    const filtered = applyUnit(depthwise, wide, style, { stride, groups }, mode, trains)
    const scaled = squeeze ? squeezeAndExcite(squeeze, filtered, style.activation) : filtered
    const [outputs] = project[0].weight.shape
    const residual = stride === 1 && outputs === x.shape[3] ? x : undefined
    return applyUnit(project, scaled, style, { activation: 'none', residual }, mode, trains)
  })
}
