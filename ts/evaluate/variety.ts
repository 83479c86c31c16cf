/** How varied captions are, and how often they repeat themselves: signs of health that no reference is needed for. */
import { ngramCounts } from './ngrams.js'
import { tokenizeCaption } from './ptb.js'

export interface Variety {
  /** Share of candidates that differ from all before them, 0-1. */
  readonly distinct: number
  /** Different words / all words of the candidates, 0-1 (Li et al. 2016, arXiv:1510.03055). */
  readonly distinct1: number
  /** Different word pairs / all word pairs of the candidates, 0-1. */
  readonly distinct2: number
  /** Different words of the candidates. */
  readonly vocabularyUsed: number
  /** Share of candidates in which three words come again in the same order, 0-1. */
  readonly repeatedCaptions: number
  /** Share of the word triples of all candidates that their own caption had before, 0-1. */
  readonly repeatedTrigrams: number
  /** Tokens in a candidate, mean. */
  readonly meanLength: number
  /** Element n: candidates of n tokens. */
  readonly lengths: readonly number[]
}

/** @param candidates tokens of each caption, at least one caption */
export function varietyOf(
  candidates: readonly (readonly string[])[],
  count = ngramCounts,
): Variety {
  const lengths: number[] = []
  const words = new Set<string>()
  const pairs = new Set<string>()
  const totals = { words: 0, pairs: 0, trigrams: 0, repeated: 0, repeating: 0 }
  for (const tokens of candidates) {
    const [ones, twos, threes] = count(tokens)
    for (const word of ones?.keys() ?? []) words.add(word)
    for (const pair of twos?.keys() ?? []) pairs.add(pair)
    const trigrams = Math.max(0, tokens.length - 2)
    const repeated = trigrams - (threes?.size ?? 0)
    totals.words += tokens.length
    totals.pairs += Math.max(0, tokens.length - 1)
    totals.trigrams += trigrams
    totals.repeated += repeated
    if (repeated > 0) totals.repeating++
    while (lengths.length <= tokens.length) lengths.push(0)
    lengths[tokens.length] = (lengths[tokens.length] ?? 0) + 1
  }
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole)
  return {
    distinct: new Set(candidates.map((tokens) => tokens.join(' '))).size / candidates.length,
    distinct1: share(words.size, totals.words),
    distinct2: share(pairs.size, totals.pairs),
    vocabularyUsed: words.size,
    repeatedCaptions: totals.repeating / candidates.length,
    repeatedTrigrams: share(totals.repeated, totals.trigrams),
    meanLength: totals.words / candidates.length,
    lengths,
  }
}

/** Share of candidates, 0-1, that no training caption equals, token by token. */
export function novelShare(
  candidates: readonly (readonly string[])[],
  trainingCaptions: readonly string[],
): number {
  const known = new Set(trainingCaptions.map((caption) => tokenizeCaption(caption).join(' ')))
  return candidates.filter((tokens) => !known.has(tokens.join(' '))).length / candidates.length
}
