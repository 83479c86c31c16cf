/**
 * The one harness that says how good a model is: teacher-forced loss (also with other images' memories) and
 * free-running captions, over images of a source. Scores of captions are score.ts.
 */
import {
  packCaptions,
  type TokenizedCaptions,
  tokenizeCaptions,
  uploadCaptions,
} from '../data/batches.js'
import type { CaptionedImage } from '../data/dataset.js'
import type { GenerationConfig } from '../decoding/generation.js'
import type { CaptionOptions } from '../decoding/options.js'
import { type CaptionText, createCaptionLoop } from '../models/caption-loop.js'
import { dropFolds, type FoldCache, inferenceMode } from '../models/mode.js'
import type { CaptionModel, ModelParams } from '../models/model.js'
import type { Device } from '../native.js'
import { upload } from '../step-cache.js'
import { scope } from '../tensor.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import type { ImageSource } from '../train/image-source.js'

/** What is judged: a model with its weights, and the images by index into `images`. */
export interface Subject {
  readonly model: CaptionModel
  readonly params: ModelParams
  readonly tokenizer: Tokenizer
  readonly device: Device
  readonly source: ImageSource
  readonly images: readonly CaptionedImage[]
  readonly generation: GenerationConfig
  readonly batchSize?: number
  readonly signal?: AbortSignal | undefined
}

export interface LossResult {
  /** Mean cross-entropy, nats per token, end tokens included. */
  readonly loss: number
  /** Share of tokens whose right word has the largest logit, and is among the five largest. */
  readonly accuracy: number
  readonly accuracy5: number
  readonly tokens: number
  /** Sum of nats and number of tokens of each image, in order. */
  readonly perImage: readonly { readonly nats: number; readonly tokens: number }[]
}

/**
 * Teacher-forced loss over `indices`, all captions of each image, without dropout or smoothing.
 * @param memoryOf which image's memory index i is given; itself unless another is chosen (shuffled-image check)
 */
export async function teacherForcedLoss(
  subject: Subject,
  indices: readonly number[],
  memoryOf: (index: number) => number = (i) => i,
  onProgress?: (done: number) => void,
): Promise<LossResult> {
  const { model, tokenizer, images, source, device, params } = subject
  const captions = tokenizeCaptions(images, tokenizer, model.config.decoder.maxTokens)
  const perImage = indices.map(() => ({ nats: 0, tokens: 0 }))
  const totals = { nats: 0, tokens: 0, first: 0, five: 0 }
  const folds: FoldCache = new Map()
  let done = 0
  try {
    for (const group of sameCaptionCount(indices, captions, subject.batchSize ?? 32)) {
      subject.signal?.throwIfAborted()
      const places = group.map(({ index }) => index)
      const loaded = await source.load(places.map(memoryOf))
      const host = packCaptions(
        places.map((i) => captions[i] ?? []),
        tokenizer,
      )
      const results = scope(() => {
        const mode = inferenceMode(folds)
        const images = upload(loaded.inputs, device)
        const memory = source.memory(images, loaded.count, params, mode)
        const text = uploadCaptions(host, device)
        return model.decoder.tokenLosses(params.decoder, memory, text, mode)
      })
      const [losses, ranks] = await Promise.all([results.out.readFloats(), results.rank.read()])
      results.out.release()
      results.rank.release()
      for (let row = 0; row + 1 < host.offsets.length; row++) {
        const image = perImage[group[Math.floor(row / host.captionsPerImage)]?.place ?? 0]
        for (let at = host.offsets[row] ?? 0; at < (host.offsets[row + 1] ?? 0); at++) {
          const nats = losses[at] ?? 0
          const rank = ranks[at] ?? 0
          totals.nats += nats
          totals.tokens++
          if (rank < 1) totals.first++
          if (rank < 5) totals.five++
          if (image) {
            image.nats += nats
            image.tokens++
          }
        }
      }
      done += group.length
      onProgress?.(done)
    }
  } finally {
    dropFolds(folds)
  }
  return {
    loss: totals.nats / totals.tokens,
    accuracy: totals.first / totals.tokens,
    accuracy5: totals.five / totals.tokens,
    tokens: totals.tokens,
    perImage,
  }
}

/** Free-running captions of `indices`, best first for each image. */
export async function captionIndices(
  subject: Subject,
  indices: readonly number[],
  options: CaptionOptions,
  onProgress?: (done: number) => void,
): Promise<CaptionText[][]> {
  const { source, params, batchSize = 32 } = subject
  const folds: FoldCache = new Map()
  const loop = createCaptionLoop({
    ...subject,
    memory: (inputs, count) => source.memory(inputs, count, params, inferenceMode(folds)),
  })
  const all: CaptionText[][] = []
  try {
    for (let at = 0; at < indices.length; at += batchSize) {
      subject.signal?.throwIfAborted()
      const part = indices.slice(at, at + batchSize)
      source.prefetch(indices.slice(at + batchSize, at + 2 * batchSize))
      const places = part.map((_, i) => at + i)
      all.push(...(await loop.captions(await source.load(part), options, places)))
      onProgress?.(all.length)
    }
  } finally {
    loop.dispose()
    dropFolds(folds)
  }
  return all
}

/** Batches of images that have equally many captions, as packing needs; `place` is the position in `indices`. */
function sameCaptionCount(
  indices: readonly number[],
  captions: readonly TokenizedCaptions[],
  batchSize: number,
): { readonly index: number; readonly place: number }[][] {
  const groups = new Map<number, { index: number; place: number }[]>()
  for (const [place, index] of indices.entries()) {
    const count = captions[index]?.length ?? 0
    const group = groups.get(count)
    if (group) group.push({ index, place })
    else groups.set(count, [{ index, place }])
  }
  return [...groups.values()].flatMap((group) =>
    Array.from({ length: Math.ceil(group.length / batchSize) }, (_, i) =>
      group.slice(i * batchSize, (i + 1) * batchSize),
    ),
  )
}
