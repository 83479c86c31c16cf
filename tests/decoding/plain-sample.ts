/** What may be drawn, and how probably, as plainly as possible and in float64; topP is the float32 that kernels get. */

export interface PlainSampling {
  readonly temperature: number
  readonly topK: number
  readonly topP: number
  /** Tokens that may not come. */
  readonly forbidden?: readonly number[]
}

/** The probability of each token that may be drawn; the most probable first, the lower id first among equals. */
export function plainChoices(
  logits: ArrayLike<number>,
  { temperature, topK, topP, forbidden = [] }: PlainSampling,
): Map<number, number> {
  const allowed = Array.from(logits, (logit, token) => ({ logit, token })).filter(
    ({ logit, token }) => logit > Number.NEGATIVE_INFINITY && !forbidden.includes(token),
  )
  allowed.sort((a, b) => b.logit - a.logit || a.token - b.token)
  const best = allowed.slice(0, topK || allowed.length)
  const highest = best[0]?.logit ?? 0
  const weights = best.map(({ logit }) => Math.exp((logit - highest) / temperature))
  const enough = Math.fround(topP) * weights.reduce((sum, w) => sum + w, 0)
  let sum = 0
  const kept = best.filter((_, i) => {
    const wanted = topP === 1 || sum < enough
    if (wanted) sum += weights[i] ?? 0
    return wanted
  })
  return new Map(kept.map(({ token }, i) => [token, (weights[i] ?? 0) / sum]))
}
