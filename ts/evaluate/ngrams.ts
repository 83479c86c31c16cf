/** Tokenised captions and their n-gram counts, shared by BLEU, CIDEr and the figures of variety. */

/** One image to be scored: the tokens of the generated caption and of each reference caption. */
export interface TokenizedImage {
  readonly candidate: readonly string[]
  readonly references: readonly (readonly string[])[]
}

/** The longest n-gram that caption metrics look at. */
export const MAX_ORDER = 4

/** How often each n-gram occurs; element n - 1 holds the n-grams of n tokens, n = 1..4. */
export type NgramCounts = readonly Map<string, number>[]

/** Counts all n-grams of 1 to 4 tokens. The key is the tokens, each after a space. */
export function ngramCounts(tokens: readonly string[]): NgramCounts {
  const counts = Array.from({ length: MAX_ORDER }, () => new Map<string, number>())
  for (let start = 0; start < tokens.length; start++) {
    let key = ''
    for (let n = 0; n < MAX_ORDER && start + n < tokens.length; n++) {
      key += ` ${tokens[start + n]}`
      const order = counts[n] as Map<string, number>
      order.set(key, (order.get(key) ?? 0) + 1)
    }
  }
  return counts
}

/** `ngramCounts` that remembers the counts of each list of tokens, for scoring several candidates of the same images. */
export function createNgramCounter(): typeof ngramCounts {
  const known = new WeakMap<readonly string[], NgramCounts>()
  return (tokens) => {
    const found = known.get(tokens) ?? ngramCounts(tokens)
    known.set(tokens, found)
    return found
  }
}
