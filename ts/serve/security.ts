/** What browsers may do with this server's replies: a policy without inline code, and no other site unless it is named. */
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'
import { HttpError } from './http-error.js'

const policy = {
  'default-src': ["'none'"],
  'img-src': ["'self'", 'blob:'],
  'media-src': ["'self'", 'blob:'],
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'connect-src': ["'self'"],
  'base-uri': ["'none'"],
  'form-action': ["'self'"],
  'frame-ancestors': ["'none'"],
}

/** @param origins of other sites whose pages may use this server: `https://example.org` */
export async function secure(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  await app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: policy },
    // Whether there is TLS in front is the proxy's to say.
    strictTransportSecurity: false,
    xFrameOptions: { action: 'deny' },
    referrerPolicy: { policy: 'no-referrer' },
  })
  app.addHook('onRequest', async ({ method, headers }, reply) => {
    reply.header('permissions-policy', 'camera=(self), microphone=(), geolocation=()')
    reply.header('cache-control', 'no-store')
    // A form of another site may post here without CORS; the browser says so.
    const isForeign = headers['sec-fetch-site'] === 'cross-site'
    if (method === 'POST' && isForeign && !origins.includes(headers.origin ?? ''))
      throw new HttpError(
        403,
        'ERR_FORBIDDEN',
        'Pages of other sites may not use this server unless it was started with --cors and their origin',
      )
  })
  if (origins.length > 0)
    await app.register(cors, {
      origin: [...origins],
      methods: ['GET', 'POST'],
      exposedHeaders: ['x-request-id', 'retry-after'],
      maxAge: 600,
    })
}
