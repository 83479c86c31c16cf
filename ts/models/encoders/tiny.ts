/** A small convolutional encoder for the demo's pictures: 64 x 64 gives 8 x 8 cells of 128 channels. */
import { scope } from '../../tensor.js'
import { batchNormSpec, convolutionSpec, convolutionWithNorm } from '../layers.js'
import { defineEncoder, type Encoder, stageTrains, type WeightsRule } from './encoder.js'

const widths = [3, 32, 64, 128, 128] as const
const strides = [2, 2, 2, 1] as const

export function tiny({ normEpsilon }: Pick<WeightsRule, 'normEpsilon'>): Encoder {
  const specs = {
    layers: strides.map((_, i) => ({
      conv: convolutionSpec(widths[i] ?? 0, widths[i + 1] ?? 0, 3),
      bn: batchNormSpec(widths[i + 1] ?? 0),
    })),
  }
  return defineEncoder({
    name: 'tiny',
    specs,
    channels: 128,
    classifierParameters: 0,
    stages: strides.map((_, i) => [`layers.${i}.`]),
    reduction: 8,
    forward: (p, x, mode) =>
      scope(() => {
        let h = x
        for (const [i, { conv, bn }] of p.layers.entries())
          h = convolutionWithNorm(
            conv,
            bn,
            h,
            { stride: strides[i] ?? 1, padding: 1, activation: 'relu', epsilon: normEpsilon },
            mode,
            stageTrains(mode, i),
          )
        return h
      }),
  })
}
