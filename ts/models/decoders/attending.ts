/**
 * How the words of one pass attend to those before them and to the image: packed captions all at once, or one more word
 * of every caption with keys and values kept. Layers are the same for both; what they learn is theirs.
 */
import { type CrossAttentionOptions, crossAttention } from '../../ops/cross-attention.js'
import { defaultTheta, rotary } from '../../ops/rotary.js'
import { selfAttention } from '../../ops/self-attention.js'
import { empty, type Tensor, tensor } from '../../tensor.js'
import type { Mode } from '../mode.js'
import type { PackedCaptions } from './decoder.js'

export interface Attending {
  /** [N, C] of queries, keys and values [N, 3C]; `layer` counts these calls of a pass from 0. */
  readonly before: (qkv: Tensor, layer: number) => Tensor
  /** [N, C] of queries [N, C] to the keys and values [B S, 2C] of the images. */
  readonly image: (q: Tensor, kv: Tensor) => Tensor
}

export interface AttendingOptions {
  readonly heads: number
  /** Channels of a head of `before` that is turned by position; absent: none is. */
  readonly rotarySize?: number | undefined
  /** Dropout of attention probabilities. */
  readonly dropout: number
}

/** Images B and their cells S. */
export interface ImageSizes {
  readonly images: number
  readonly cells: number
}

/** Training, and everything else that knows all words. */
export function packedAttending(
  text: PackedCaptions,
  sizes: ImageSizes,
  { heads, rotarySize, dropout }: AttendingOptions,
  mode: Mode,
): Attending {
  const { rng } = mode
  const options = { heads, probability: rng ? dropout : 0 }
  const looks = { ...packedLooks(text, sizes), rng }
  const turned = (qkv: Tensor) =>
    rotarySize
      ? rotary({ x: qkv, positions: text.positions }, { size: rotarySize, heads: 2 * heads })
      : qkv
  return {
    before: (qkv) =>
      selfAttention(
        { qkv: turned(qkv), offsets: text.offsets, rng },
        { ...options, causal: true, maxLength: text.longest, tag: mode.nextTag() },
      ),
    image: (q, kv) =>
      crossAttention(
        { q, kv, queryOffsets: looks.queryOffsets, keyOffsets: looks.keyOffsets, rng },
        { ...options, ...lookOptions(text, sizes), tag: mode.nextTag() },
      ),
  }
}

/** Which words look at which cells. */
export function packedLooks(text: PackedCaptions, { images, cells }: ImageSizes) {
  return {
    queryOffsets: text.offsets,
    keyOffsets: regularOffsets(images, cells, text.offsets),
  }
}

/** The options of ops that look so, but for heads. */
export function lookOptions(
  text: PackedCaptions,
  { cells }: ImageSizes,
): Pick<CrossAttentionOptions, 'rowsPerKey' | 'maxQueries' | 'maxKeys'> {
  return { rowsPerKey: text.captionsPerImage, maxQueries: text.longest, maxKeys: cells }
}

/** Keys and values of the words so far, for every layer; R = B rowsPerImage. */
export interface WordCache {
  readonly keys: readonly Tensor[] //   each [R, T, C]
  readonly values: readonly Tensor[] // each [R, T, C]
  readonly queryOffsets: Tensor //      [B + 1]: the rows of one image are the queries of one set of keys
  readonly keyOffsets: Tensor //        [B + 1]
  readonly rowsPerImage: number
  readonly cells: number
}

/** @param like a tensor with the device and dtype of the model */
export function startCache(
  layers: number,
  channels: number,
  { images, cells }: ImageSizes,
  rowsPerImage: number,
  maxTokens: number,
  like: Tensor,
): WordCache {
  const cache = () =>
    Array.from({ length: layers }, () =>
      empty([images * rowsPerImage, maxTokens, channels], like.dtype, like.device),
    )
  return {
    keys: cache(),
    values: cache(),
    queryOffsets: regularOffsets(images, rowsPerImage, like),
    keyOffsets: regularOffsets(images, cells, like),
    rowsPerImage,
    cells,
  }
}

/** Decoding: one word of each row at `position`. @param positions int32 [R], each that position */
export function cachedAttending(
  cache: WordCache,
  positions: Tensor,
  position: number,
  ancestors: Tensor | undefined,
  { heads, rotarySize }: AttendingOptions,
): Attending {
  const { kernels } = positions.device
  return {
    before: (qkv, layer) => {
      const [rows = 0, columns = 0] = qkv.shape
      const out = empty([rows, columns / 3], qkv.dtype, qkv.device)
      const [keys, values] = [cache.keys[layer] as Tensor, cache.values[layer] as Tensor]
      if (rotarySize)
        kernels.rotary(qkv, qkv, positions, rotarySize, (columns / 3) * 2, defaultTheta, false)
      kernels.attendCache(out, keys, values, qkv, ancestors, heads, position)
      return out
    },
    image: (q, kv) =>
      crossAttention(
        { q, kv, queryOffsets: cache.queryOffsets, keyOffsets: cache.keyOffsets },
        { heads, rowsPerKey: 1, maxQueries: cache.rowsPerImage, maxKeys: cache.cells },
      ),
  }
}

/** int32 [count + 1]: 0, length, 2 length, ... */
export function regularOffsets(count: number, length: number, like: Tensor): Tensor {
  return tensor(
    Int32Array.from({ length: count + 1 }, (_, i) => i * length),
    [count + 1],
    like.device,
  )
}
