/** What a sampled caption earns in self-critical training: its CIDEr-D. How the model learns from it is self-critical.ts. */
import type { CaptionedImage } from '../data/dataset.js'
import { captionVector, ciderSimilarity, documentFrequencies } from '../evaluate/cider.js'
import { ngramCounts } from '../evaluate/ngrams.js'
import { tokenizeCaption } from '../evaluate/ptb.js'

/** A caption as the model drew it. */
export interface SampledCaption {
  readonly text: string
  /** Whether it came to its end token before it was cut. */
  readonly finished: boolean
}

/** Rewards of captions of image `image`, an index into the images, 0-10 each. */
export type Reward = (image: number, captions: readonly SampledCaption[]) => number[]

const end = '<end>'

/**
 * CIDEr-D against an image's captions, with document frequencies from the captions of all `images`. The end of a caption
 * counts as a word: otherwise captions that break off ("a dog on a") would earn more than whole ones.
 * Source of the latter: Hu, Cavicchioli and Capotondi 2023, arXiv:2305.12254.
 */
export function ciderReward(images: readonly CaptionedImage[]): Reward {
  const countsOf = (text: string, finished = true) => {
    const words = tokenizeCaption(text)
    return ngramCounts(finished ? [...words, end] : words)
  }
  function* references() {
    for (const { captions } of images) yield captions.map((text) => countsOf(text))
  }
  const frequencies = documentFrequencies(references())
  return (image, samples) => {
    const captions = images[image]?.captions ?? []
    const vectors = captions.map((text) => captionVector(countsOf(text), frequencies))
    return samples.map(({ text, finished }) => {
      const sample = captionVector(countsOf(text, finished), frequencies)
      const sum = vectors.reduce((total, vector) => total + ciderSimilarity(sample, vector), 0)
      return sum / vectors.length
    })
  }
}
