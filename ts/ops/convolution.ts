/** Two-dimensional convolution with bias, residual and activation; and the shape rule of all convolutions. */
import { ArgumentError, ShapeError, shapeText } from '../errors.js'
import { type Activation, activations } from '../kernels.js'
import { activeTape } from '../tape.js'
import type { Tensor } from '../tensor.js'
import { axes, defineOp, expectShape } from './define-op.js'
import { type Padding, type Places, placesOf } from './padding.js'

export interface ConvolutionOptions {
  /** Rows and columns between two windows; 1 unless given. */
  readonly stride?: number
  readonly padding: Padding
  /** Channels are split into this many groups; as many as channels: depthwise. 1 unless given. */
  readonly groups?: number
  /** 'none' unless given. */
  readonly activation?: Activation
}

export interface ConstantOption {
  /** The number of a weight that stays as it is until `kernels.dropConstant(number)`; 0 unless given: it may change. */
  readonly constant?: number
}

/** What the kernels take for the options, in their order. */
export type ConvolutionNumbers = [
  stride: number,
  padTop: number,
  padLeft: number,
  groups: number,
  activation: number,
]

/**
 * out = activation(x * weight + bias + residual), * the cross-correlation of each window with the weight.
 *
 * @param x        [B, H, W, C]; with groups = 1 channels beyond those of weight are ignored, and their gradient is 0
 * @param weight   [O, R, S, C / groups]
 * @param bias     [O]
 * @param residual [B, P, Q, O]
 * @returns        [B, P, Q, O], P = floor((H + top + bottom - R) / stride) + 1, Q alike
 * @throws ShapeError when the shapes do not fit together
 * @throws ArgumentError for a wrong option, and when a gradient is wanted through gelu or silu: only none, relu and
 *   relu6 have a derivative that follows from out
 */
export const convolution = defineOp({
  name: 'convolution',
  inputs: ['x', 'weight', 'bias?', 'residual?'],
  kinds: { weight: 'parameter', bias: 'float32' },
  shape: (inputs, options: ConvolutionOptions & ConstantOption) => {
    const { x, weight, bias, residual } = inputs
    const shape = convolutionShape('convolution', x, weight, options)
    expectShape('convolution', 'bias', bias, [shape[3]], `weight ${shapeText(weight.shape)}`)
    expectShape('convolution', 'residual', residual, shape, 'the output')
    const tape = activeTape()
    if (tape && Object.values(inputs).some((input) => tape.tracks(input)))
      expectDerivative('convolution', options.activation)
    return { shape }
  },
  forward: (k, out, { x, weight, bias, residual }, options) =>
    k.convolution(
      out,
      x,
      weight,
      bias,
      residual,
      ...convolutionNumbers(x.shape, weight.shape, options),
      options.constant ?? 0,
    ),
  saves: ['x', 'weight', 'out'],
  backward: ({ k, grad, gradOf, saved: { x, weight, out }, options }) => {
    const dx = gradOf('x')
    const dweight = gradOf('weight')
    const dbias = gradOf('bias')
    const plain = (options.activation ?? 'none') === 'none'
    const dresidual = plain ? undefined : gradOf('residual')
    k.convolutionBackward(
      dx,
      dweight,
      dbias,
      dresidual,
      grad,
      x,
      weight,
      out,
      ...convolutionNumbers(x.shape, weight.shape, options),
    )
    return { x: dx, weight: dweight, bias: dbias, residual: plain ? grad : dresidual }
  },
})

/** The output's shape. @throws ShapeError, ArgumentError */
export function convolutionShape(
  op: string,
  x: Tensor,
  weight: Tensor,
  options: ConvolutionOptions,
): readonly [number, number, number, number] {
  const [B = 0, , , C = 0] = axes(op, 'x', x, 4)
  const [O = 0, , , channels = 0] = axes(op, 'weight', weight, 4)
  const { groups = 1, activation = 'none' } = options
  if (!(Number.isInteger(groups) && groups >= 1 && C % groups === 0 && O % groups === 0))
    throw new ArgumentError(
      `${op}: expected groups to divide the channels of x (${C}) and of the output (${O}), received ${groups}`,
    )
  if (!(activation in activations))
    throw new ArgumentError(
      `${op}: expected activation to be one of ${Object.keys(activations).join(', ')}, received ${activation}`,
    )
  if (groups === 1 ? channels > C : channels * groups !== C)
    throw new ShapeError(
      `${op}: x is ${shapeText(x.shape)} and weight is ${shapeText(weight.shape)}; the last size of weight ` +
        `must be ${groups === 1 ? `at most ${C} (channels of x)` : `${C / groups} (channels of x / groups)`}`,
    )
  const { height, width } = convolutionPlaces(op, x.shape, weight.shape, options)
  return [B, height, width, O]
}

/** The options as the kernels take them. */
export function convolutionNumbers(
  x: readonly number[],
  weight: readonly number[],
  options: ConvolutionOptions,
): ConvolutionNumbers {
  const { top, left } = convolutionPlaces('convolution', x, weight, options)
  const { stride = 1, groups = 1, activation = 'none' } = options
  return [stride, top, left, groups, activations[activation]]
}

/** @throws ArgumentError unless the derivative of `activation` follows from its value */
export function expectDerivative(op: string, activation: Activation = 'none'): void {
  if (activation !== 'none' && activation !== 'relu' && activation !== 'relu6')
    throw new ArgumentError(
      `${op}: no gradient through ${activation} here; expected none, relu or relu6 while training`,
    )
}

function convolutionPlaces(
  op: string,
  x: readonly number[],
  weight: readonly number[],
  { stride = 1, padding }: ConvolutionOptions,
): Places {
  const [, windowHeight = 0, windowWidth = 0] = weight
  return placesOf(op, x, [windowHeight, windowWidth], stride, padding)
}
