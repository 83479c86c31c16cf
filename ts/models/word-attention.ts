/** Where in the image a model looked for each token of captions that are known. Pictures of it are report/attention.ts. */
import { packCaptions, uploadCaptions } from '../data/batches.js'
import type { Device } from '../native.js'
import { scope, type Tensor } from '../tensor.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { inferenceMode } from './mode.js'
import type { CaptionModel, ModelParams } from './model.js'

/** For each token of a caption how much it took from each cell of the image's memory. */
export interface CaptionAttention {
  /** The text of each token. */
  readonly words: readonly string[]
  /** Cells of the image's map along one side; cell (y, x) lies at y * side + x, after the extra ones. */
  readonly side: number
  /** Cells before those of the map, which are no place in the image, as a ViT's class token. */
  readonly extra: number
  /** Shares, which sum to 1 for each token: [words, extra + side * side]. */
  readonly weights: Float32Array
}

/** What it needs to know of a model on a device. */
export interface AttentionParts {
  readonly model: Pick<CaptionModel, 'decoder' | 'grid'>
  readonly params: ModelParams
  readonly tokenizer: Tokenizer
  readonly device: Device
}

/**
 * The attention of captions, by feeding them once more, all at once.
 * @param memory   queues the image memory [B S, C]
 * @param captions token ids of the captions of each image, without begin and end
 */
export async function captionAttention(
  { model, params, tokenizer, device }: AttentionParts,
  memory: () => Tensor,
  captions: readonly (readonly (readonly number[])[])[],
): Promise<CaptionAttention[][]> {
  const { decoder, grid } = model
  const cells = grid.extra + grid.side ** 2
  const perImage = Math.max(...captions.map(({ length }) => length))
  // What a word took is known when the words before it have been fed; the last one need not be.
  const fed = captions.map((own) =>
    Array.from({ length: perImage }, (_, i) => own[i]?.slice(0, -1) ?? []),
  )
  const host = packCaptions(fed, tokenizer)
  const weights = scope(() =>
    decoder.attention(params.decoder, memory(), uploadCaptions(host, device), inferenceMode()),
  )
  try {
    const all = await weights.readFloats()
    return captions.map((own, image) =>
      own.map((tokens, i) => {
        const start = host.offsets[image * perImage + i] ?? 0
        return {
          words: tokens.map((id) => tokenizer.decode([id])),
          ...grid,
          weights: all.slice(start * cells, (start + tokens.length) * cells),
        }
      }),
    )
  } finally {
    weights.release()
  }
}
