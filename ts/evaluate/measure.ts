/**
 * What a model does on a set of images: teacher-forced losses with the right and with wrong images, and captions. Goes
 * through the images in parts, so that their memories fit. Scores of the captions are score.ts.
 */
import type { CaptionedImage } from '../data/dataset.js'
import type { CaptionOptions } from '../decoding/options.js'
import type { CaptionText } from '../models/caption-loop.js'
import type { ModelParams } from '../models/model.js'
import type { ModelFolder } from '../models/model-folder.js'
import type { Device } from '../native.js'
import { shuffled } from '../random.js'
import { noImageSource } from '../train/image-source.js'
import { captionIndices, type LossResult, type Subject, teacherForcedLoss } from './harness.js'
import { type Encoded, encodeImages, memoryBytes } from './memories.js'

const PART_BYTES = 2 ** 30

export type EvaluatePhase = 'features' | 'loss' | 'captions' | 'scores'

export interface EvaluateProgress {
  readonly phase: EvaluatePhase
  readonly done: number
  readonly total: number
}

export interface MeasureOptions {
  readonly folder: ModelFolder
  readonly params: ModelParams
  readonly device: Device
  readonly images: readonly CaptionedImage[]
  readonly decoding: CaptionOptions
  readonly batchSize: number
  readonly seed: number
  /** Host memory that the image memories of one part may take; 1 GiB when left out. */
  readonly partBytes?: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress: (progress: EvaluateProgress) => void
}

export interface Measured {
  /** Images that could be decoded, in order. */
  readonly images: readonly CaptionedImage[]
  /** Why the others could not. */
  readonly errors: readonly Error[]
  readonly loss: LossResult
  /** With another image's memory each; absent for a text-only model and for a single image. */
  readonly shuffledLoss?: LossResult
  readonly captions: readonly CaptionText[]
  /** Seconds from image files to captions, losses left out. */
  readonly captionSeconds: number
}

/** Throws the signal's reason; as the model's kernels do. */
export async function measure(options: MeasureOptions): Promise<Measured> {
  const { folder, images, batchSize, partBytes = PART_BYTES, onProgress } = options
  const most = Math.max(2 * batchSize, Math.floor(partBytes / memoryBytes(folder.model)))
  const parts = await inParts(images, most, (part, before) =>
    measurePart({
      ...options,
      images: part,
      onProgress: ({ phase, done }) =>
        onProgress({ phase, done: before + done, total: images.length }),
    }),
  )
  const shuffledLosses = parts.flatMap((part) => part.shuffledLoss ?? [])
  return {
    images: parts.flatMap((part) => part.images),
    errors: parts.flatMap((part) => part.errors),
    loss: together(parts.map((part) => part.loss)),
    ...(shuffledLosses.length === parts.length && { shuffledLoss: together(shuffledLosses) }),
    captions: parts.flatMap((part) => part.captions),
    captionSeconds: parts.reduce((sum, part) => sum + part.captionSeconds, 0),
  }
}

/** One part after another, none larger than `most` and all about as large. */
async function inParts<T>(
  images: readonly CaptionedImage[],
  most: number,
  work: (part: readonly CaptionedImage[], before: number) => Promise<T>,
): Promise<T[]> {
  const size = Math.ceil(images.length / Math.ceil(images.length / most))
  const results: T[] = []
  for (let at = 0; at < images.length; at += size)
    results.push(await work(images.slice(at, at + size), at))
  return results
}

async function measurePart(options: MeasureOptions): Promise<Measured> {
  const { folder, params, device, batchSize, signal, seed, decoding, onProgress } = options
  const { model, tokenizer, generation } = folder
  const told = (phase: EvaluatePhase, from = 0, share = 1) => {
    return (done: number) =>
      onProgress({ phase, done: Math.round(from + share * done), total: options.images.length })
  }
  const start = performance.now()
  const { images, errors, source }: Encoded = model.image
    ? await encodeImages({ ...options, model, onProgress: told('features') })
    : { images: options.images, errors: [], source: noImageSource(model) }
  const encodingEnd = performance.now()
  const subject: Subject = {
    model,
    params,
    tokenizer,
    device,
    source,
    images,
    generation,
    batchSize,
    signal,
  }
  const all = Array.from(images.keys())
  const shuffles = model.image && all.length > 1
  const partner = derangement(all.length, seed)
  const share = shuffles ? 0.5 : 1
  const loss = await teacherForcedLoss(subject, all, undefined, told('loss', 0, share))
  const shuffledLoss = shuffles
    ? await teacherForcedLoss(
        subject,
        all,
        (i) => partner[i] ?? i,
        told('loss', all.length * share, share),
      )
    : undefined
  const captioningStart = performance.now()
  const found = await captionIndices(subject, all, decoding, told('captions'))
  return {
    images,
    errors,
    loss,
    ...(shuffledLoss && { shuffledLoss }),
    captions: found.flatMap(([best]) => best ?? []),
    captionSeconds: (encodingEnd - start + performance.now() - captioningStart) / 1000,
  }
}

/** A seeded permutation of 0..n-1 that leaves nothing in its place: each goes to the next one on a shuffled circle. */
export function derangement(n: number, seed: number): Uint32Array {
  const circle = shuffled(n, seed)
  const partner = new Uint32Array(n)
  circle.forEach((i, at) => {
    partner[i] = circle[(at + 1) % n] as number
  })
  return partner
}

/** The loss over the images of several results. */
function together(all: readonly LossResult[]): LossResult {
  // Of a part without a single image that could be decoded the means are NaN.
  const results = all.filter((result) => result.tokens > 0)
  const tokens = results.reduce((sum, result) => sum + result.tokens, 0)
  const mean = (of: (result: LossResult) => number) =>
    results.reduce((sum, result) => sum + of(result) * result.tokens, 0) / tokens
  return {
    loss: mean(({ loss }) => loss),
    accuracy: mean(({ accuracy }) => accuracy),
    accuracy5: mean(({ accuracy5 }) => accuracy5),
    tokens,
    perImage: results.flatMap(({ perImage }) => perImage),
  }
}
