/**
 * A decoder that looks at the image's map resampled to another number of cells, as Show, Attend and Tell does with 14 x 14
 * whatever the encoder gives. Done behind the encoder, so that cached features stay small.
 */
import { adaptiveAveragePool } from '../../ops/adaptive-average-pool.js'
import { reshape } from '../../ops/reshape.js'
import { scope, type Tensor } from '../../tensor.js'
import type { Decoder } from './decoder.js'

/**
 * @param decoder built for `to` x `to` cells
 * @param from    cells a side of the memory that it is given
 */
export function resampledDecoder(decoder: Decoder, from: number, to: number): Decoder {
  const resampled = (memory: Tensor): Tensor =>
    scope(() => {
      const [rows = 0, channels = 0] = memory.shape
      const images = rows / from ** 2
      const map = reshape({ x: memory }, { shape: [images, from, from, channels] })
      const pooled = adaptiveAveragePool({ x: map }, { size: [to, to] })
      return reshape({ x: pooled }, { shape: [images * to ** 2, channels] })
    })
  return {
    ...decoder,
    loss: (p, memory, ...rest) => decoder.loss(p, resampled(memory), ...rest),
    tokenLosses: (p, memory, ...rest) => decoder.tokenLosses(p, resampled(memory), ...rest),
    attention: (p, memory, ...rest) => decoder.attention(p, resampled(memory), ...rest),
    start: (p, memory, ...rest) => decoder.start(p, resampled(memory), ...rest),
  }
}
