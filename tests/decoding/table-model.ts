/** A model that looks at the last word and its place alone, on the host and on the device. */
import type { NextTokens } from '../../ts/decoding/decoding.js'
import { createRandom } from '../../ts/random.js'
import { empty, tensor, view } from '../../ts/tensor.js'
import { device } from '../device.js'

export const bos = 0
export const eos = 1

export interface Sizes {
  readonly vocabulary: number
  readonly images: number
  /** Rows of each image. */
  readonly beams: number
  readonly maxTokens: number
  readonly seed: number
}

/**
 * Logits of each word after each word, one table an image, plus numbers for each place: without these, captions with
 * the same steps in another order would have equal scores but for rounding.
 */
export interface Model {
  readonly tables: readonly Float32Array[]
  readonly places: Float32Array
}

export function randomModel({ vocabulary, images, maxTokens, seed }: Sizes, eosBonus = 2): Model {
  const random = createRandom(seed)
  return {
    tables: Array.from({ length: images }, () =>
      Float32Array.from(
        { length: vocabulary * vocabulary },
        (_, i) => 6 * random() + (i % vocabulary === eos ? eosBonus : 0),
      ),
    ),
    places: Float32Array.from({ length: maxTokens * vocabulary }, () => random()),
  }
}

/** The logits of an image after some words. */
export function logitsOf({ tables, places }: Model, { vocabulary }: Sizes, image: number) {
  const table = tables[image] ?? new Float32Array()
  return (tokens: readonly number[]): number[] => {
    const row = (tokens.at(-1) ?? bos) * vocabulary
    const place = tokens.length * vocabulary
    return Array.from({ length: vocabulary }, (_, i) =>
      Math.fround((table[row + i] ?? 0) + (places[place + i] ?? 0)),
    )
  }
}

/** The same on the device, by one embedding for each image. */
export function onDevice(
  { tables, places }: Model,
  { vocabulary, beams, maxTokens }: Sizes,
): NextTokens {
  return (tokens, position) => {
    const logits = empty([tables.length * beams, vocabulary], 'float32', device)
    for (const [image, table] of tables.entries())
      device.kernels.embedding(
        view(logits, [beams, vocabulary], image * beams * vocabulary),
        view(tokens, [beams], image * beams),
        tensor(new Int32Array(beams).fill(position), [beams], device),
        tensor(table, [vocabulary, vocabulary], device),
        tensor(places, [maxTokens, vocabulary], device),
        1,
      )
    return logits
  }
}
