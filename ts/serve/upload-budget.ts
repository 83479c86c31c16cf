/** How many bytes of uploads may wait in memory, over all requests: many clients at once cannot fill it. */
import { QueueFullError } from '../errors.js'

/** What one request holds of it. */
export interface UploadShare {
  /** @throws QueueFullError when `bytes` more are too many; those taken before stay taken */
  take(bytes: number): void
  /** Gives all back; a second call does nothing. */
  release(): void
}

/** @param limit bytes */
export function uploadBudget(limit: number): () => UploadShare {
  let used = 0
  return () => {
    let own = 0
    return {
      take: (bytes) => {
        if (used + bytes > limit)
          throw new QueueFullError(
            `Uploads of ${Math.round(limit / 2 ** 20)} MiB wait already, no more are taken now. Try again in a second`,
            1,
          )
        used += bytes
        own += bytes
      },
      release: () => {
        used -= own
        own = 0
      },
    }
  }
}
