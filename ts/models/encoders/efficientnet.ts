/**
 * EfficientNet B0 to B3 without the classifier (Tan and Le 2019, arXiv:1905.11946); names as in torchvision. Padding
 * and epsilon belong to the weights: torchvision's are 'symmetric' and 1e-5, Keras' are 'same' and 1e-3. Whole branches
 * are never dropped while training (stochastic depth): that matters to long training on ImageNet, not to captions.
 */
import { defineEncoder, type Encoder, stageTrains, type WeightsRule } from './encoder.js'
import {
  applyUnit,
  type InvertedResidual,
  invertedResidual,
  type Squeeze,
  squeezeSpec,
  type Unit,
  unitSpec,
} from './inverted-residual.js'

export interface EfficientNetShape {
  /** Channels of the first convolution. */
  readonly stem: number
  readonly stages: readonly (readonly [
    expansion: number,
    window: number,
    firstStride: number,
    channels: number,
    repeats: number,
  ])[]
  /** Channels of the map. */
  readonly head: number
}

/** Table 1 of the paper. */
const smallest: EfficientNetShape = {
  stem: 32,
  stages: [
    [1, 3, 1, 16, 1],
    [6, 3, 2, 24, 2],
    [6, 5, 2, 40, 2],
    [6, 3, 2, 80, 3],
    [6, 5, 1, 112, 3],
    [6, 5, 2, 192, 4],
    [6, 3, 1, 320, 1],
  ],
  head: 1280,
}

const scales = {
  efficientnet_b0: { width: 1, depth: 1 },
  efficientnet_b1: { width: 1, depth: 1.1 },
  efficientnet_b2: { width: 1.1, depth: 1.2 },
  efficientnet_b3: { width: 1.2, depth: 1.4 },
} as const

export type EfficientNetName = keyof typeof scales

function published(name: EfficientNetName): EfficientNetShape {
  const { width, depth } = scales[name]
  const stages = smallest.stages.map(
    ([expansion, window, stride, channels, repeats]) =>
      [expansion, window, stride, eights(channels * width), Math.ceil(repeats * depth)] as const,
  )
  return { stem: eights(smallest.stem * width), stages, head: eights(smallest.head * width) }
}

/** The nearest multiple of 8 that is not more than a tenth below. */
function eights(channels: number): number {
  const nearest = Math.max(8, Math.floor((channels + 4) / 8) * 8)
  return nearest < 0.9 * channels ? nearest + 8 : nearest
}

interface BlockShape {
  readonly inputs: number
  readonly outputs: number
  readonly expansion: number
  readonly window: number
  readonly stride: number
}

/** The blocks of each stage. */
function blockShapes({ stem, stages }: EfficientNetShape): readonly (readonly BlockShape[])[] {
  return stages.map(([expansion, window, stride, outputs, repeats], i) =>
    Array.from({ length: repeats }, (_, j) => ({
      inputs: j > 0 ? outputs : (stages[i - 1]?.[3] ?? stem),
      outputs,
      expansion,
      window,
      stride: j === 0 ? stride : 1,
    })),
  )
}

function blockSpec({ inputs, outputs, expansion, window }: BlockShape) {
  const hidden = inputs * expansion
  return {
    block: [
      ...(expansion === 1 ? [] : [unitSpec(inputs, hidden, 1)]),
      unitSpec(hidden, hidden, window, hidden),
      squeezeSpec(hidden, Math.max(1, Math.floor(inputs / 4))),
      unitSpec(hidden, outputs, 1),
    ] as const,
  }
}

type Block = { readonly block: readonly (Unit | Squeeze)[] }

function blockParts({ block }: Block): InvertedResidual {
  const [depthwise, squeeze, project] = block.slice(-3) as [Unit, Squeeze, Unit]
  return {
    expand: block.length === 4 ? (block[0] as Unit) : undefined,
    depthwise,
    squeeze,
    project,
  }
}

/**
 * 224 x 224 gives 7 x 7 cells of 1,280 (B0, B1), 1,408 or 1,536 channels.
 * @param shape other than the published one the model is not torchvision's
 */
export function efficientNet(
  name: EfficientNetName,
  { padding, normEpsilon }: WeightsRule,
  shape = published(name),
): Encoder {
  const { stem, head } = shape
  const stages = blockShapes(shape)
  const last = stages.at(-1)?.at(-1)?.outputs ?? stem
  const specs = {
    features: [
      unitSpec(3, stem, 3),
      ...stages.map((blocks) => blocks.map(blockSpec)),
      unitSpec(last, head, 1),
    ] as const,
  }
  const style = { activation: 'silu', padding, epsilon: normEpsilon } as const
  return defineEncoder({
    name,
    specs,
    channels: head,
    classifierParameters: 1000 * (head + 1),
    stages: specs.features.map((_, i) => [`features.${i}.`]),
    reduction: stages.flat().reduce((product, { stride }) => product * stride, 2),
    forward: (p, x, mode) => {
      let h = x
      for (const [i, part] of (p.features as readonly (Unit | readonly Block[])[]).entries()) {
        const trains = stageTrains(mode, i)
        const shapes = stages[i - 1]
        if (!shapes)
          h = applyUnit(part as Unit, h, style, { stride: i === 0 ? 2 : 1 }, mode, trains)
        for (const [j, { stride }] of (shapes ?? []).entries())
          h = invertedResidual(blockParts(part[j] as Block), h, style, stride, mode, trains)
      }
      return h
    },
  })
}
