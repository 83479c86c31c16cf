/**
 * Self-critical training: the model draws captions of a step's images, and each token's loss is weighted by how much
 * better its caption did than the others of the same image. Source: Rennie et al. 2017, arXiv:1612.00563; the mean of
 * the other samples as the baseline: Luo 2020, arXiv:2003.09971; the captions of a beam search as the samples: Cornia et al.
 * 2020, arXiv:1912.08226. Rewards are rewards.ts, the step itself is step.ts.
 */
import { type HostCaptions, packCaptions, type TokenizedCaptions } from '../data/batches.js'
import type { CaptionedImage } from '../data/dataset.js'
import { generationSchema } from '../decoding/generation.js'
import {
  type CaptionLoop,
  type CaptionText,
  createCaptionLoop,
  type LoopParts,
} from '../models/caption-loop.js'
import type { LoadedImages } from '../models/inference.js'
import { dropFolds, type FoldCache, inferenceMode } from '../models/mode.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import type { TrainConfig } from './config.js'
import type { ImageSource } from './image-source.js'
import { ciderReward } from './rewards.js'

export interface SampledBatch {
  /** The samples of each image, then its references where they count, with the weights of all tokens. */
  readonly text: HostCaptions
  /** Mean reward of the samples. */
  readonly reward: number
}

export interface SelfCritic {
  /**
   * Draws captions with the weights as they are once all queued work is done.
   * @param indices of the images, as in training
   * @param references the captions of each, as many of every image
   * @param seed an integer from 0 to 2^53 - 1
   */
  sample(
    images: LoadedImages,
    indices: readonly number[],
    references: readonly TokenizedCaptions[],
    seed: number,
  ): Promise<SampledBatch>
  dispose(): void
}

type Settings = NonNullable<TrainConfig['selfCritical']>

/** @param trainImages whose captions are the references */
export function createSelfCritic(
  parts: Omit<LoopParts, 'memory'> & { readonly source: ImageSource },
  trainImages: readonly CaptionedImage[],
  settings: Settings,
): SelfCritic {
  const { source, params, tokenizer, model } = parts
  const loop: CaptionLoop = createCaptionLoop({
    ...parts,
    // Penalties and cut-offs of the model's own decoding would draw from another policy than the one that learns.
    generation: generationSchema.parse({}),
    memory: (inputs, count) => {
      // The weights change between steps, so nothing folded may stay.
      const folds: FoldCache = new Map()
      const memory = source.memory(inputs, count, params, inferenceMode(folds))
      dropFolds(folds)
      return memory
    },
  })
  const rewardOf = ciderReward(trainImages)
  const { draw, samples, temperature } = settings
  // Beside the words there must be room for the end token.
  const maxTokens = Math.min(parts.generation.maxTokens, model.config.decoder.maxTokens - 1)
  return {
    async sample(images, indices, references, seed) {
      const how = draw === 'beam' ? { beam: samples } : { temperature, seed }
      const drawn = await loop.captions(images, { numCaptions: samples, maxTokens, ...how })
      const captions = drawn.map((all) =>
        Array.from({ length: samples }, (_, i) => {
          // A tiny vocabulary may have fewer captions than beams.
          const { text, tokens } = all[i % all.length] as CaptionText
          return { text, tokens, finished: tokens.length < maxTokens }
        }),
      )
      const rewards = captions.map((all, i) => rewardOf(indices[i] ?? 0, all))
      return {
        text: weightedCaptions(captions, rewards, references, tokenizer, settings.weight),
        reward: mean(rewards.flat()),
      }
    },
    dispose: () => loop.dispose(),
  }
}

interface Sample {
  readonly tokens: readonly number[]
  readonly finished: boolean
}

/**
 * Samples and references packed with token weights, so that the mean over all tokens of weighted cross-entropies is share
 * (mean over sampled tokens of advantage × cross-entropy) + (1 - share) (mean over reference tokens of cross-entropy).
 * The advantage of a sample is its reward less the mean of the others of its image. The end token of a sample that was
 * cut was not drawn, and has no weight.
 */
export function weightedCaptions(
  samples: readonly (readonly Sample[])[],
  rewards: readonly (readonly number[])[],
  references: readonly TokenizedCaptions[],
  tokenizer: Pick<Tokenizer, 'bos' | 'eos' | 'unk'>,
  share: number,
): HostCaptions {
  const mixed = share < 1
  const batch = samples.map((all, i) => [
    ...all.map(({ tokens }) => tokens),
    ...(mixed ? (references[i] ?? []) : []),
  ])
  const packed = packCaptions(batch, tokenizer)
  const { offsets, captionsPerImage } = packed
  const weights = new Float32Array(packed.tokens.length)
  const rows = Array.from({ length: offsets.length - 1 }, (_, row) => {
    const [start = 0, end = 0] = offsets.subarray(row, row + 2)
    const image = Math.floor(row / captionsPerImage)
    const place = row % captionsPerImage
    const sample = samples[image]?.[place]
    const drawn = sample && !sample.finished ? end - 1 : end
    return { start, end: drawn, advantage: sample && advantage(rewards[image] ?? [], place) }
  })
  const count = (sampled: boolean) =>
    rows.reduce(
      (sum, row) => sum + ((row.advantage !== undefined) === sampled ? row.end - row.start : 0),
      0,
    )
  const perSample = (share * weights.length) / count(true)
  const perReference = ((1 - share) * weights.length) / count(false)
  for (const { start, end, advantage } of rows)
    weights.fill(advantage === undefined ? perReference : advantage * perSample, start, end)
  return { ...packed, weights }
}

/** Reward `place` less the mean of the others. */
function advantage(rewards: readonly number[], place: number): number {
  const others = rewards.filter((_, i) => i !== place)
  return (rewards[place] ?? 0) - mean(others)
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
}
