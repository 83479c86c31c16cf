/**
 * MobileNetV2 at width 1 without its classifier (Sandler et al. 2018, arXiv:1801.04381); names as in torchvision's
 * mobilenet_v2. The padding rule belongs to the weights: torchvision's are symmetric, TensorFlow's are 'same'.
 */
import type { Padding } from '../../ops/padding.js'
import { scope, type Tensor } from '../../tensor.js'
import { batchNormSpec, convolutionSpec, convolutionWithNorm } from '../layers.js'
import type { Mode } from '../mode.js'
import type { ParamsOf } from '../params.js'
import { defineEncoder, type Encoder, stageTrains } from './encoder.js'

export interface MobileNetShape {
  /** Channels of the first convolution. */
  readonly stem: number
  readonly blocks: readonly (readonly [
    expansion: number,
    channels: number,
    repeats: number,
    firstStride: number,
  ])[]
  /** Channels of the map. */
  readonly head: number
}

/** Table 2 of the paper. */
const published: MobileNetShape = {
  stem: 32,
  blocks: [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
  ],
  head: 1280,
}

interface BlockShape {
  readonly inputs: number
  readonly outputs: number
  readonly expansion: number
  readonly stride: number
}

function blockShapes({ stem, blocks }: MobileNetShape): readonly BlockShape[] {
  return blocks.flatMap(([expansion, outputs, repeats, stride], i) =>
    Array.from({ length: repeats }, (_, j) => ({
      inputs: j > 0 ? outputs : (blocks[i - 1]?.[1] ?? stem),
      outputs,
      expansion,
      stride: j === 0 ? stride : 1,
    })),
  )
}

/** Convolution and batch norm, as torchvision's Conv2dNormActivation numbers them. */
function unitSpec(inputs: number, outputs: number, size: number, groups = 1) {
  return [convolutionSpec(inputs, outputs, size, groups), batchNormSpec(outputs)] as const
}

type Unit = ParamsOf<ReturnType<typeof unitSpec>>

function blockSpec({ inputs, outputs, expansion }: BlockShape) {
  const hidden = inputs * expansion
  const depthwise = unitSpec(hidden, hidden, 3, hidden)
  const project = unitSpec(hidden, outputs, 1)
  const expand = expansion === 1 ? [] : [unitSpec(inputs, hidden, 1)]
  return { conv: [...expand, depthwise, ...project] as const }
}

type Block = { readonly conv: readonly (Unit | Unit[number])[] }

/**
 * 224 x 224 gives 7 x 7 cells of 1,280 channels; 2,223,872 parameters.
 * @param sizes other than the published ones the model is not torchvision's
 */
export function mobilenetV2(padding: 'symmetric' | 'same', sizes = published): Encoder {
  const { stem, head } = sizes
  const blocks = blockShapes(sizes)
  const last = blocks.at(-1)?.outputs ?? stem
  const specs = {
    features: [unitSpec(3, stem, 3), ...blocks.map(blockSpec), unitSpec(last, head, 1)] as const,
  }
  const pad: Padding = padding === 'same' ? 'same' : 1

  const inverted = (p: Block, shape: BlockShape, x: Tensor, mode: Mode, trains: boolean) =>
    scope(() => {
      const units = [...p.conv]
      const projectNorm = units.pop() as Unit[1]
      const projectConv = units.pop() as Unit[0]
      const [depthConv, depthNorm] = units.pop() as Unit
      const expand = units.pop() as Unit | undefined
      const wide = expand
        ? convolutionWithNorm(...expand, x, { padding: 0, activation: 'relu6' }, mode, trains)
        : x
      const filtered = convolutionWithNorm(
        depthConv,
        depthNorm,
        wide,
        {
          stride: shape.stride,
          padding: pad,
          groups: shape.inputs * shape.expansion,
          activation: 'relu6',
        },
        mode,
        trains,
      )
      const residual = shape.stride === 1 && shape.inputs === shape.outputs ? x : undefined
      return convolutionWithNorm(
        projectConv,
        projectNorm,
        filtered,
        { padding: 0, residual },
        mode,
        trains,
      )
    })

  return defineEncoder({
    name: 'mobilenet_v2',
    specs,
    channels: head,
    classifierParameters: 1000 * (head + 1),
    stages: specs.features.map((_, i) => [`features.${i}.`]),
    reduction: blocks.reduce((product, { stride }) => product * stride, 2),
    forward: (p, x, mode) => {
      const features = p.features as readonly (Unit | Block)[]
      let h = x
      for (const [i, part] of features.entries()) {
        const shape = blocks[i - 1]
        const trains = stageTrains(mode, i)
        if (shape) {
          h = inverted(part as Block, shape, h, mode, trains)
        } else {
          const stem = i === 0 ? { stride: 2, padding: pad } : { padding: 0 }
          h = convolutionWithNorm(
            ...(part as Unit),
            h,
            { ...stem, activation: 'relu6' },
            mode,
            trains,
          )
        }
      }
      return h
    },
  })
}
