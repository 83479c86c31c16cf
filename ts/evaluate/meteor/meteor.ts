/**
 * METEOR 1.5 for English with exact, stem and synonym matching: all of it but the paraphrase table of 61 MB, which is
 * too large to carry. Scores are lower than with paraphrases, so their name says what is in. Takes tokens.
 */
import type { TokenizedImage } from '../ngrams.js'
import { type Alignment, align, type Word } from './align.js'
import { COMMON_WORDS } from './common-words.js'
import { normalizeTokens } from './normalize.js'
import { stem } from './stem.js'
import { type Senses, wordNetSenses } from './synonyms.js'

/**
 * What METEOR is made of, 23 figures in the order in which its jar prints them: length of candidate and reference,
 * function words of both; for exact, stem, synonym and paraphrase matches each the content words of candidate and
 * reference and the function words of both; chunks; matched words of both.
 */
export type MeteorCounts = readonly number[]

export const METEOR_FIGURES = 23
const MODULES_AT = 4
const CHUNKS_AT = 20

/** English, tuned for ranking. Source: Denkowski and Lavie 2014 (WMT14, Meteor Universal), table 2; Meteor 1.5. */
const ALPHA = 0.85
const BETA = 0.2
const GAMMA = 0.6
const DELTA = 0.75
const MODULE_WEIGHTS = [1, 0.6, 0.8, 0.6] as const

export interface Meteor {
  /** From the counts of all images together, 0-1. */
  readonly score: number
  /** In the order given: 0-1, against the reference that suits best. */
  readonly perImage: readonly { readonly score: number; readonly counts: MeteorCounts }[]
}

/**
 * METEOR = Fmean · (1 - γ (chunks / matches)^β), with Fmean = 1 / ((1 - α) / P + α / R), where matches and lengths
 * weigh δ for content words and 1 - δ for function words, and matches the weight of their module too.
 *
 * @param images at least one image, each with at least one reference
 * @param senses which words are synonyms; WordNet's when left out
 * Source: Denkowski and Lavie 2014, sections 2 and 4; corpus value as in coco-caption.
 */
export function meteor(images: readonly TokenizedImage[], senses?: Senses): Meteor {
  const wordsOf = createWords(senses ?? wordNetSenses())
  const perImage = images.map(({ candidate, references }) => {
    const words = wordsOf(candidate)
    return references
      .map((reference) => {
        const others = wordsOf(reference)
        const counts = countsOf(words, others, align(words, others))
        return { score: meteorOfCounts(counts), counts }
      })
      .reduce((best, one) => (one.score > best.score ? one : best))
  })
  return { score: meteorOfCounts(sumMeteorCounts(perImage.map(({ counts }) => counts))), perImage }
}

/** METEOR (0-1) from counts of one image or of many. */
export function meteorOfCounts(counts: MeteorCounts): number {
  const at = (i: number) => counts[i] as number
  const [precision, recall] = [0, 1].map((side) => {
    const common = at(2 + side)
    const length = DELTA * (at(side) - common) + (1 - DELTA) * common
    const matches = MODULE_WEIGHTS.reduce((sum, weight, module) => {
      const first = MODULES_AT + 4 * module + side
      return sum + weight * (DELTA * at(first) + (1 - DELTA) * at(first + 2))
    }, 0)
    return matches / length
  }) as [number, number]
  const mean = 1 / ((1 - ALPHA) / precision + ALPHA / recall)
  const fragments = isWhole(counts)
    ? 0
    : at(CHUNKS_AT) / ((at(CHUNKS_AT + 1) + at(CHUNKS_AT + 2)) / 2)
  const score = mean * (1 - GAMMA * fragments ** BETA)
  // Without a match, and for an empty caption, it is no number.
  return Number.isNaN(score) ? 0 : Math.max(score, 0)
}

/** Counts of a corpus from those of its images; the one chunk of a candidate that is its reference is none. */
export function sumMeteorCounts(counts: readonly MeteorCounts[]): MeteorCounts {
  const sum = new Array<number>(METEOR_FIGURES).fill(0)
  for (const one of counts) {
    for (let i = 0; i < METEOR_FIGURES; i++) sum[i] = (sum[i] as number) + (one[i] as number)
    if (isWhole(one)) sum[CHUNKS_AT] = (sum[CHUNKS_AT] as number) - 1
  }
  return sum
}

/** Whether all words of both sides are matched in one chunk. */
function isWhole(counts: MeteorCounts): boolean {
  return (
    counts[CHUNKS_AT] === 1 &&
    counts[CHUNKS_AT + 1] === counts[0] &&
    counts[CHUNKS_AT + 2] === counts[1]
  )
}

function countsOf(
  candidate: readonly Word[],
  reference: readonly Word[],
  { matches, chunks }: Alignment,
): MeteorCounts {
  const counts = new Array<number>(METEOR_FIGURES).fill(0)
  const add = (at: number) => {
    counts[at] = (counts[at] as number) + 1
  }
  counts[0] = candidate.length
  counts[1] = reference.length
  counts[2] = candidate.filter(({ common }) => common).length
  counts[3] = reference.filter(({ common }) => common).length
  for (const [place, match] of matches.entries()) {
    if (!match) continue
    const first = MODULES_AT + 4 * match.module
    add(first + (candidate[match.at]?.common ? 2 : 0))
    add(first + 1 + (reference[place]?.common ? 2 : 0))
    add(CHUNKS_AT + 1)
    add(CHUNKS_AT + 2)
  }
  counts[CHUNKS_AT] = chunks
  return counts
}

/** Words by their text, each looked up once. */
function createWords(senses: Senses): (tokens: readonly string[]) => readonly Word[] {
  const known = new Map<string, Word>()
  return (tokens) =>
    normalizeTokens(tokens).map((text) => {
      const found = known.get(text)
      if (found) return found
      const word: Word = {
        text,
        stem: stem(text),
        senses: senses(text),
        common: COMMON_WORDS.has(text),
      }
      known.set(text, word)
      return word
    })
}
