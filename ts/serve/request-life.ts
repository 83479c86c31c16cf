/** What lives as long as a request that captions: its share of the uploads, and the signal that nobody waits for it. */
import { setMaxListeners } from 'node:events'
import type { FastifyReply } from 'fastify'
import type { ImageFetcher } from './fetch-image.js'
import { CLIENT_GONE, HttpError } from './http-error.js'
import type { Models } from './models.js'
import type { UploadShare } from './upload-budget.js'

/** What routes that caption have in common. */
export interface CaptionRoutes extends Models {
  readonly share: () => UploadShare
  /** Gets images by their URL; undefined where that is not allowed. */
  readonly fetchImage: ImageFetcher | undefined
  /** ms between two signs of life of a stream. */
  readonly heartbeat: number
  /** Throws when a request would be refused anyway, before its images are read. */
  readonly refuseEarly: () => void
}

export interface RequestLife {
  readonly share: UploadShare
  readonly signal: AbortSignal
}

export function requestLife({ raw }: FastifyReply, routes: CaptionRoutes): RequestLife {
  const gone = new AbortController()
  // Each of a request's images listens; from the eleventh on Node would warn.
  setMaxListeners(0, gone.signal)
  const share = routes.share()
  raw.on('close', () => {
    share.release()
    // Also after a refusal: the other images of that request need no captions any more.
    gone.abort(new HttpError(CLIENT_GONE, 'ERR_CLIENT_GONE', 'The client went away'))
  })
  return { share, signal: gone.signal }
}
