/**
 * MobileNetV2 at width 1 without its classifier (Sandler et al. 2018, arXiv:1801.04381); names as in torchvision's
 * mobilenet_v2. The padding rule belongs to the weights: torchvision's are symmetric, TensorFlow's are 'same'.
 */
import { batchNormSpec, convolutionSpec } from '../layers.js'
import { defineEncoder, type Encoder, stageTrains, type WeightsRule } from './encoder.js'
import {
  applyUnit,
  type InvertedResidual,
  invertedResidual,
  type Unit,
  unitSpec,
} from './inverted-residual.js'

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

function blockSpec({ inputs, outputs, expansion }: BlockShape) {
  const hidden = inputs * expansion
  const expand = expansion === 1 ? [] : [unitSpec(inputs, hidden, 1)]
  const project = [convolutionSpec(hidden, outputs, 1), batchNormSpec(outputs)] as const
  return { conv: [...expand, unitSpec(hidden, hidden, 3, hidden), ...project] as const }
}

/** Units, the last one's convolution and norm not in a list of their own. */
type Block = { readonly conv: readonly (Unit | Unit[number])[] }

function blockParts({ conv }: Block): InvertedResidual {
  const units = conv.slice(0, -2) as Unit[]
  const [expand, depthwise] = units.length === 2 ? units : [undefined, ...units]
  return { expand, depthwise: depthwise as Unit, project: conv.slice(-2) as unknown as Unit }
}

/**
 * 224 x 224 gives 7 x 7 cells of 1,280 channels; 2,223,872 parameters.
 * @param sizes other than the published ones the model is not torchvision's
 */
export function mobilenetV2({ padding, normEpsilon }: WeightsRule, sizes = published): Encoder {
  const { stem, head } = sizes
  const blocks = blockShapes(sizes)
  const last = blocks.at(-1)?.outputs ?? stem
  const specs = {
    features: [unitSpec(3, stem, 3), ...blocks.map(blockSpec), unitSpec(last, head, 1)] as const,
  }
  const style = { activation: 'relu6', padding, epsilon: normEpsilon } as const
  return defineEncoder({
    name: 'mobilenet_v2',
    specs,
    channels: head,
    classifierParameters: 1000 * (head + 1),
    stages: specs.features.map((_, i) => [`features.${i}.`]),
    reduction: blocks.reduce((product, { stride }) => product * stride, 2),
    forward: (p, x, mode) => {
      let h = x
      for (const [i, part] of (p.features as readonly (Unit | Block)[]).entries()) {
        const trains = stageTrains(mode, i)
        const block = blocks[i - 1]
        h = block
          ? invertedResidual(blockParts(part as Block), h, style, block.stride, mode, trains)
          : applyUnit(part as Unit, h, style, { stride: i === 0 ? 2 : 1 }, mode, trains)
      }
      return h
    },
  })
}
