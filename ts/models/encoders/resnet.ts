/**
 * ResNet-18 without its classifier (He et al. 2015, arXiv:1512.03385); names as in torchvision's resnet18.
 */
import { maxPool } from '../../ops/max-pool.js'
import { scope, type Tensor } from '../../tensor.js'
import { batchNormSpec, convolutionSpec, convolutionWithNorm } from '../layers.js'
import type { Mode } from '../mode.js'
import type { ParamsOf } from '../params.js'
import { defineEncoder, type Encoder, stageTrains } from './encoder.js'

function basicBlockSpec(inputs: number, outputs: number, stride: number) {
  const block = {
    conv1: convolutionSpec(inputs, outputs, 3),
    bn1: batchNormSpec(outputs),
    conv2: convolutionSpec(outputs, outputs, 3),
    bn2: batchNormSpec(outputs),
  }
  if (stride === 1 && inputs === outputs) return block
  return {
    ...block,
    downsample: [convolutionSpec(inputs, outputs, 1), batchNormSpec(outputs)] as const,
  }
}

type BlockParams = ParamsOf<ReturnType<typeof basicBlockSpec>>

function basicBlock(
  p: BlockParams,
  x: Tensor,
  stride: number,
  mode: Mode,
  trains: boolean,
): Tensor {
  return scope(() => {
    const [conv, norm] = ('downsample' in p && p.downsample) || []
    const shortcut =
      conv && norm ? convolutionWithNorm(conv, norm, x, { stride, padding: 0 }, mode, trains) : x
    const h = convolutionWithNorm(
      p.conv1,
      p.bn1,
      x,
      { stride, padding: 1, activation: 'relu' },
      mode,
      trains,
    )
    return convolutionWithNorm(
      p.conv2,
      p.bn2,
      h,
      { padding: 1, activation: 'relu', residual: shortcut },
      mode,
      trains,
    )
  })
}

function stageSpec(inputs: number, outputs: number, stride: number) {
  return [basicBlockSpec(inputs, outputs, stride), basicBlockSpec(outputs, outputs, 1)] as const
}

type Widths = readonly [number, number, number, number]

/**
 * 224 x 224 gives 7 x 7 cells of 512 channels; 11,176,512 parameters.
 * @param widths channels of the four stages; other than these the model is not torchvision's
 */
export function resnet18(widths: Widths = [64, 128, 256, 512]): Encoder {
  const [first, second, third, last] = widths
  const specs = {
    conv1: convolutionSpec(3, first, 7),
    bn1: batchNormSpec(first),
    layer1: stageSpec(first, first, 1),
    layer2: stageSpec(first, second, 2),
    layer3: stageSpec(second, third, 2),
    layer4: stageSpec(third, last, 2),
  }
  return defineEncoder({
    name: 'resnet18',
    specs,
    channels: last,
    classifierParameters: 1000 * (last + 1),
    stages: [['conv1.', 'bn1.'], ['layer1.'], ['layer2.'], ['layer3.'], ['layer4.']],
    reduction: 32,
    forward: (p, x, mode) => {
      let h = scope(() => {
        const stem = convolutionWithNorm(
          p.conv1,
          p.bn1,
          x,
          { stride: 2, padding: 3, activation: 'relu' },
          mode,
          stageTrains(mode, 0),
        )
        return maxPool({ x: stem }, { size: 3, stride: 2, padding: 1 })
      })
      for (const [i, layer] of [p.layer1, p.layer2, p.layer3, p.layer4].entries())
        for (const [j, block] of layer.entries())
          h = basicBlock(block, h, i > 0 && j === 0 ? 2 : 1, mode, stageTrains(mode, i + 1))
      return h
    },
  })
}
