/** Which of the images that wait are captioned together, and when. No clock, no state, no processes. */

/** An image that waits to be captioned. */
export interface Waiting {
  /** Only images with the same key may be captioned together. */
  readonly key: string
  /** Must be captioned alone. */
  readonly alone: boolean
  /** Most images of this key that may be captioned together. */
  readonly together: number
  /** Since when it has waited, ms. */
  readonly since: number
}

export interface BatchLimits {
  /** Most images captioned together. */
  readonly maxBatch: number
  /** How long an image may wait for others that are on their way although nothing is being captioned, ms. */
  readonly maxDelayMs: number
}

/** What to do now: caption these, or look again at a time (ms); undefined where nothing waits. */
export type Choice<T> =
  | { readonly batch: readonly T[]; readonly at?: never }
  | { readonly at: number; readonly batch?: never }
  | undefined

/**
 * The batch of a model that is idle: the image that has waited longest and, in order, those that may go with it. It
 * goes at once, unless there is room and others for it are on their way; for these it waits at most `maxDelayMs`. So a
 * request that comes alone never waits, and of several that come together all but the slowest share a batch.
 * @param waiting in the order in which they are to be captioned
 * @param coming  whether images with this key are on their way
 */
export function chooseBatch<T extends Waiting>(
  waiting: readonly T[],
  coming: (key: string) => boolean,
  now: number,
  { maxBatch, maxDelayMs }: BatchLimits,
): Choice<T> {
  const [first] = waiting
  if (!first) return undefined
  if (first.alone) return { batch: [first] }
  const { key, together, since } = first
  const most = Math.max(1, Math.min(maxBatch, together))
  const batch = waiting.filter((one) => one.key === key && !one.alone).slice(0, most)
  const at = since + maxDelayMs
  return batch.length < most && now < at && coming(key) ? { at } : { batch }
}
