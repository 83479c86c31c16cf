/**
 * ResNets without their classifier (He et al. 2015, arXiv:1512.03385); names as in torchvision, which strides at the 3 x 3
 * convolution of a bottleneck ("v1.5").
 */
import { maxPool } from '../../ops/max-pool.js'
import { scope, type Tensor } from '../../tensor.js'
import {
  batchNormSpec,
  type ConvolutionOptions,
  convolutionSpec,
  convolutionWithNorm,
} from '../layers.js'
import type { Mode } from '../mode.js'
import type { ParamsOf } from '../params.js'
import { defineEncoder, type Encoder, stageTrains, type WeightsRule } from './encoder.js'

type Four = readonly [number, number, number, number]

export interface ResNetShape {
  /** Whether a block is 1 x 1, 3 x 3, 1 x 1 to four times its width, or 3 x 3 twice. */
  readonly bottleneck: boolean
  /** Blocks of each stage. */
  readonly blocks: Four
  /** Channels of the 3 x 3 convolutions of each stage. */
  readonly widths: Four
}

const widths = [64, 128, 256, 512] as const

const published = {
  resnet18: { bottleneck: false, blocks: [2, 2, 2, 2], widths },
  resnet34: { bottleneck: false, blocks: [3, 4, 6, 3], widths },
  resnet50: { bottleneck: true, blocks: [3, 4, 6, 3], widths },
  resnet101: { bottleneck: true, blocks: [3, 4, 23, 3], widths },
  resnet152: { bottleneck: true, blocks: [3, 8, 36, 3], widths },
} as const

export type ResNetName = keyof typeof published

function blockSpec(inputs: number, width: number, stride: number, bottleneck: boolean) {
  const outputs = bottleneck ? 4 * width : width
  const end = { conv3: convolutionSpec(width, outputs, 1), bn3: batchNormSpec(outputs) }
  const shortcut = [convolutionSpec(inputs, outputs, 1), batchNormSpec(outputs)] as const
  return {
    conv1: convolutionSpec(inputs, width, bottleneck ? 1 : 3),
    bn1: batchNormSpec(width),
    conv2: convolutionSpec(width, width, 3),
    bn2: batchNormSpec(width),
    ...(bottleneck ? end : {}),
    ...(stride === 1 && inputs === outputs ? {} : { downsample: shortcut }),
  }
}

type Block = ParamsOf<ReturnType<typeof blockSpec>>
type Convolution = Parameters<typeof convolutionWithNorm>[0]
type Norm = Parameters<typeof convolutionWithNorm>[1]

function applyBlock(
  p: Block,
  x: Tensor,
  stride: number,
  epsilon: number,
  mode: Mode,
  trains: boolean,
): Tensor {
  const unit = (conv: Convolution, norm: Norm, h: Tensor, options: ConvolutionOptions) =>
    convolutionWithNorm(conv, norm, h, { epsilon, ...options }, mode, trains)
  return scope(() => {
    const residual = p.downsample ? unit(...p.downsample, x, { stride, padding: 0 }) : x
    const activation = 'relu'
    if (!p.conv3 || !p.bn3) {
      const h = unit(p.conv1, p.bn1, x, { stride, padding: 1, activation })
      return unit(p.conv2, p.bn2, h, { padding: 1, activation, residual })
    }
    const narrow = unit(p.conv1, p.bn1, x, { padding: 0, activation })
    const h = unit(p.conv2, p.bn2, narrow, { stride, padding: 1, activation })
    return unit(p.conv3, p.bn3, h, { padding: 0, activation, residual })
  })
}

/**
 * 224 x 224 gives 7 x 7 cells of 512 channels, of bottlenecks 2,048.
 * @param shape other than the published one the model is not torchvision's
 */
export function resnet(
  name: ResNetName,
  { normEpsilon: epsilon }: Pick<WeightsRule, 'normEpsilon'>,
  shape: ResNetShape = published[name],
): Encoder {
  const { bottleneck, blocks, widths } = shape
  const outputs = widths.map((width) => (bottleneck ? 4 * width : width))
  const strideOf = (stage: number, block: number) => (stage > 0 && block === 0 ? 2 : 1)
  const layer = (stage: 0 | 1 | 2 | 3) =>
    Array.from({ length: blocks[stage] }, (_, i) => {
      const inputs = (i > 0 ? outputs[stage] : outputs[stage - 1]) ?? widths[0]
      return blockSpec(inputs, widths[stage], strideOf(stage, i), bottleneck)
    })
  const specs = {
    conv1: convolutionSpec(3, widths[0], 7),
    bn1: batchNormSpec(widths[0]),
    layer1: layer(0),
    layer2: layer(1),
    layer3: layer(2),
    layer4: layer(3),
  }
  const channels = outputs[3] ?? 0
  return defineEncoder({
    name,
    specs,
    channels,
    classifierParameters: 1000 * (channels + 1),
    stages: [['conv1.', 'bn1.'], ['layer1.'], ['layer2.'], ['layer3.'], ['layer4.']],
    reduction: 32,
    forward: (p, x, mode) => {
      let h = scope(() => {
        const options = { stride: 2, padding: 3, activation: 'relu', epsilon } as const
        const stem = convolutionWithNorm(p.conv1, p.bn1, x, options, mode, stageTrains(mode, 0))
        return maxPool({ x: stem }, { size: 3, stride: 2, padding: 1 })
      })
      for (const [i, layer] of [p.layer1, p.layer2, p.layer3, p.layer4].entries())
        for (const [j, block] of layer.entries())
          h = applyBlock(block, h, strideOf(i, j), epsilon, mode, stageTrains(mode, i + 1))
      return h
    },
  })
}
