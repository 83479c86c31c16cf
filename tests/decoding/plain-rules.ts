/** Rules on logits as plainly as possible; rounded to float32 after each operation, as kernels do. */

export interface PlainRules {
  readonly repetitionPenalty?: number
  readonly repetitionWindow?: number
  readonly frequencyPenalty?: number
  readonly frequencyWindow?: number
  readonly noRepeatNgram?: number
  /** Words that come first, whatever the logits say. */
  readonly prefix?: readonly number[]
}

/** The logits of what follows after `words`. */
export function plainRules(
  logits: ArrayLike<number>,
  words: readonly number[],
  rules: PlainRules,
): number[] {
  const {
    repetitionPenalty = 1,
    repetitionWindow = 64,
    frequencyPenalty = 0,
    frequencyWindow = 128,
    noRepeatNgram: n = 0,
    prefix = [],
  } = rules
  const only = prefix[words.length]
  if (only !== undefined && only >= 0)
    return Array.from(logits, (x, token) => (token === only ? x : Number.NEGATIVE_INFINITY))
  const penalty = Math.fround(repetitionPenalty)
  const recent = words.slice(-repetitionWindow)
  const counted = words.slice(-frequencyWindow)
  return Array.from(logits, (logit, token) => {
    let x = logit
    if (recent.includes(token)) x = Math.fround(x > 0 ? x / penalty : x * penalty)
    const count = counted.filter((word) => word === token).length
    const share = Math.fround(1 - Math.fround(1 / count))
    if (count > 1) x = Math.fround(x - Math.fround(frequencyPenalty) * share)
    const ngram = [...words, token].slice(-n).join()
    const before = words.map((_, i) => words.slice(i, i + n)).filter(({ length }) => length === n)
    const repeats = n > 0 && words.length >= n && before.some((other) => other.join() === ngram)
    return repeats ? Number.NEGATIVE_INFINITY : x
  })
}
