/** What every image encoder offers. Which one a config names is build.ts. */
import type { Tensor } from '../../tensor.js'
import type { ModelConfig } from '../config.js'
import type { Mode } from '../mode.js'
import type { ParamTree } from '../params.js'

/** What belongs to a convolutional encoder's weights rather than to its architecture. */
export type WeightsRule = Pick<ModelConfig['encoder'], 'padding' | 'normEpsilon'>

export interface Encoder<S = unknown> {
  readonly name: string
  /** Parameters without a classifier; keys as torchvision names them. */
  readonly specs: S
  /** Channels of the map. */
  readonly channels: number
  /** Learned numbers that torchvision's model of this name has beyond `specs`: its classifier. */
  readonly classifierParameters: number
  /** Parts that can be frozen one after another from the input side; the prefix of their keys says which is which. */
  readonly stages: readonly (readonly string[])[]
  /** Pixels per cell of the map: an image of n pixels a side gives ceil(n / reduction) cells a side. */
  readonly reduction: number
  /** Cells of the memory before those of the map, as a ViT's class token; 0 when left out. */
  readonly extraCells?: number
  /**
   * @param x [B, H, W, C >= 3] normalised
   * @returns the map [B, H / reduction, W / reduction, channels], or with extra cells all of the memory [B S, channels]
   */
  readonly forward: (params: never, x: Tensor, mode: Mode) => Tensor
}

/** Keeps the link between an encoder's specs and its forward's params typed where it is defined. */
export function defineEncoder<const S extends ParamTree>(
  encoder: Omit<Encoder<S>, 'forward'> & {
    readonly forward: (params: import('../params.js').ParamsOf<S>, x: Tensor, mode: Mode) => Tensor
  },
): Encoder<S> {
  return encoder as unknown as Encoder<S>
}

/** Whether a stage trains in this mode. */
export function stageTrains(mode: Mode, stage: number): boolean {
  return mode.training && stage >= mode.frozenStages
}
