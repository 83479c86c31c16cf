/** Beam search as plainly as possible, in float64, over a function from words so far to logits. */

export interface PlainOptions {
  readonly beams: number
  readonly maxTokens: number
  readonly minTokens: number
  readonly lengthPenalty: number
  readonly eos: number
  readonly forbidden: readonly number[]
}

export interface PlainCaption {
  readonly tokens: readonly number[]
  readonly score: number
  readonly finished: boolean
}

interface Beam {
  readonly tokens: readonly number[]
  readonly score: number
}

export function logSoftmax(logits: readonly number[]): number[] {
  const largest = Math.max(...logits)
  const logSum = Math.log(logits.reduce((sum, x) => sum + Math.exp(x - largest), 0))
  return logits.map((x) => x - largest - logSum)
}

/** All captions that the search ends with: finished ones, best first, then unfinished ones. */
export function plainSearch(
  logitsAfter: (tokens: readonly number[]) => readonly number[],
  { beams, maxTokens, minTokens, lengthPenalty, eos, forbidden }: PlainOptions,
): PlainCaption[] {
  const finished: Beam[] = []
  let live: Beam[] = [{ tokens: [], score: 0 }]
  for (let position = 0; position < maxTokens; position++) {
    const candidates = live.flatMap((beam, from) =>
      logSoftmax(logitsAfter(beam.tokens)).flatMap((logProbability, token) =>
        logProbability === Number.NEGATIVE_INFINITY ||
        forbidden.includes(token) ||
        (token === eos && position + 1 <= minTokens)
          ? []
          : [{ tokens: [...beam.tokens, token], score: beam.score + logProbability, from, token }],
      ),
    )
    candidates.sort((a, b) => b.score - a.score || a.from - b.from || a.token - b.token)
    live = []
    for (const [rank, { tokens, token, score }] of candidates.slice(0, 2 * beams).entries()) {
      if (live.length === beams) break
      if (token !== eos) live.push({ tokens, score })
      else if (rank < beams)
        finished.push({
          tokens: tokens.slice(0, -1),
          score: score / tokens.length ** lengthPenalty,
        })
    }
    finished.sort((a, b) => b.score - a.score)
    finished.splice(beams)
    const worst = finished[beams - 1]?.score ?? Number.NEGATIVE_INFINITY
    const best = live[0]?.score ?? Number.NEGATIVE_INFINITY
    if (worst >= best / (position + 1) ** lengthPenalty) break
  }
  return [
    ...finished.map((beam) => ({ ...beam, finished: true })),
    ...live.map(({ tokens, score }) => ({
      tokens,
      score: score / maxTokens ** lengthPenalty,
      finished: false,
    })),
  ]
}
