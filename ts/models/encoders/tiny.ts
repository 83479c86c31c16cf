/**
 * A small convolutional encoder for the demo's pictures: 64 x 64 gives 8 x 8 cells of 128 channels. Three strided
 * convolutions see parts of an object; two blocks of a 7 x 7 depthwise and a 1 x 1 convolution (after Liu et al. 2022,
 * arXiv:2201.03545) then see the whole picture for a tenth of the work, so that a cell can know what lies left of it.
 */
import { scope } from '../../tensor.js'
import { batchNormSpec, convolutionSpec, convolutionWithNorm } from '../layers.js'
import { defineEncoder, type Encoder, stageTrains } from './encoder.js'

const widths = [3, 32, 64, 128] as const
const channels = 128
const strided = 3
const blockCount = 2

export function tiny(): Encoder {
  const specs = {
    layers: Array.from({ length: strided }, (_, i) => ({
      conv: convolutionSpec(widths[i] ?? 0, widths[i + 1] ?? 0, 3),
      bn: batchNormSpec(widths[i + 1] ?? 0),
    })),
    blocks: Array.from({ length: blockCount }, () => ({
      depthwise: convolutionSpec(channels, channels, 7, channels),
      bn1: batchNormSpec(channels),
      pointwise: convolutionSpec(channels, channels, 1),
      bn2: batchNormSpec(channels),
    })),
  }
  return defineEncoder({
    name: 'tiny',
    specs,
    channels,
    classifierParameters: 0,
    stages: [
      ...specs.layers.map((_, i) => [`layers.${i}.`]),
      ...specs.blocks.map((_, i) => [`blocks.${i}.`]),
    ],
    reduction: 8,
    forward: (p, x, mode) =>
      scope(() => {
        let h = x
        for (const [i, { conv, bn }] of p.layers.entries()) {
          const options = { stride: 2, padding: 1, activation: 'relu' } as const
          h = convolutionWithNorm(conv, bn, h, options, mode, stageTrains(mode, i))
        }
        for (const [i, block] of p.blocks.entries()) {
          const trains = stageTrains(mode, strided + i)
          const wide = { padding: 3, groups: channels } as const
          const seen = convolutionWithNorm(block.depthwise, block.bn1, h, wide, mode, trains)
          const options = { padding: 0, activation: 'relu', residual: h } as const
          h = convolutionWithNorm(block.pointwise, block.bn2, seen, options, mode, trains)
        }
        return h
      }),
  })
}
