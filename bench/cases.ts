/** What is measured: presets with batch sizes, vocabularies and made-up captions and pictures of realistic sizes. */
import type { TokenizedCaptions } from '../ts/data/batches.js'
import { type PresetName, presets } from '../ts/models/presets.js'
import { createRandom } from '../ts/random.js'
import { resolveConfig } from '../ts/train/resolve-config.js'

/** A preset as it is trained. */
export interface BenchCase {
  readonly preset: PresetName
  /** Whether the frozen encoder's features are there already. */
  readonly cached: boolean
  /** Token ids, the four special ones included. */
  readonly vocabulary: number
}

/** Vocabularies: tiny's is about that of the generated scenes, others' that of Flickr8k, or what their authors used. */
export const cases: readonly BenchCase[] = [
  { preset: 'tiny', cached: false, vocabulary: 64 },
  { preset: 'mobilenetv2-transformer', cached: true, vocabulary: 3000 },
  { preset: 'mobilenetv2-transformer', cached: false, vocabulary: 3000 },
  { preset: 'resnet18-transformer', cached: false, vocabulary: 3000 },
  { preset: 'eir-resnet18', cached: false, vocabulary: 5000 },
  { preset: 'efficientnetb1-transformer-s', cached: true, vocabulary: 10_000 },
  { preset: 'resnet101-lstm', cached: true, vocabulary: 7003 },
  { preset: 'vit-transformer', cached: false, vocabulary: 20_069 },
]

/** The name of a case in tables. */
export function caseName({ preset, cached }: BenchCase): string {
  return cached ? `${preset}, cached features` : preset
}

/** The settings of a preset's training run. */
export function configOf({ preset, cached }: BenchCase, batchSize?: number) {
  return resolveConfig({
    preset,
    overrides: {
      'data.path': '.',
      // The peer takes all captions of an image in a step, and so must we.
      'data.captionsPerImage': 'all',
      // PyTorch has no AdaBelief.
      ...(presets[preset].optimizer?.name === 'adabeliefw' ? { 'optimizer.name': 'adamw' } : {}),
      ...(cached ? { cacheFeatures: true } : {}),
      ...(batchSize === undefined ? {} : { batchSize }),
    },
  })
}

const captionsPerImage = 5
const firstWord = 4

/**
 * Captions of 8 to 20 words, 12 on average, frequent words (low ids) more often than rare ones.
 * @param longest words of a caption at most
 */
export function madeUpCaptions(
  images: number,
  vocabulary: number,
  longest = Number.POSITIVE_INFINITY,
): TokenizedCaptions[] {
  const random = createRandom(1)
  const words = vocabulary - firstWord
  const caption = () =>
    Array.from(
      { length: Math.min(longest, 8 + Math.floor(13 * random() ** 2)) },
      () => firstWord + Math.floor(words * random() ** 3),
    )
  return Array.from({ length: images }, () => Array.from({ length: captionsPerImage }, caption))
}

/** Pictures of noise, RGB bytes [size, size, 3] each, no two alike. */
export function madeUpPictures(images: number, size: number): Uint8Array[] {
  const random = createRandom(2)
  const bytes = size * size * 3
  const noise = Uint8Array.from({ length: bytes + images * 3 }, () => Math.floor(256 * random()))
  return Array.from({ length: images }, (_, i) => noise.subarray(3 * i, 3 * i + bytes))
}
