/** What may be drawn, and how probably, as plainly as possible and in float64; shares are the float32 that kernels get. */

export interface PlainSampling {
  readonly temperature: number
  readonly topK: number
  readonly topP: number
  readonly typicalP?: number
  readonly mostTypical?: number
  /** Tokens that may not come. */
  readonly forbidden?: readonly number[]
}

/** The probability of each token that may be drawn; the most probable or typical first, the lower id among equals. */
export function plainChoices(
  logits: ArrayLike<number>,
  { temperature, topK, topP, typicalP = 1, mostTypical = 0, forbidden = [] }: PlainSampling,
): Map<number, number> {
  const allowed = Array.from(logits, (logit, token) => ({ logit, token })).filter(
    ({ logit, token }) => logit > Number.NEGATIVE_INFINITY && !forbidden.includes(token),
  )
  allowed.sort((a, b) => b.logit - a.logit || a.token - b.token)
  const highest = allowed[0]?.logit ?? 0
  const best = allowed.slice(0, topK || allowed.length).map(({ logit, token }) => ({
    token,
    information: (highest - logit) / temperature,
    weight: Math.exp((logit - highest) / temperature),
  }))
  const probable = fewest(best, topP)
  const total = sumOf(probable)
  const mean = probable.reduce((sum, { weight, information }) => sum + weight * information, 0)
  const apart = ({ information }: { readonly information: number }) =>
    Math.abs(information - mean / total)
  const byTypicality = probable.toSorted((a, b) => apart(a) - apart(b) || a.token - b.token)
  const typical = typicalP < 1 || mostTypical > 0 ? fewest(byTypicality, typicalP) : probable
  const kept = typical.slice(0, mostTypical || typical.length)
  const sum = sumOf(kept)
  return new Map(kept.map(({ token, weight }) => [token, weight / sum]))
}

interface Choice {
  readonly token: number
  readonly information: number
  readonly weight: number
}

function sumOf(choices: readonly Choice[]): number {
  return choices.reduce((sum, { weight }) => sum + weight, 0)
}

/** The first ones, until they have a share of the weight. */
function fewest(choices: readonly Choice[], share: number): readonly Choice[] {
  const enough = Math.fround(share) * sumOf(choices)
  let sum = 0
  return choices.filter(({ weight }) => {
    const wanted = share === 1 || sum < enough
    if (wanted) sum += weight
    return wanted
  })
}
