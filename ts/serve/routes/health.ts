/** GET /health: the process answers. GET /ready: it takes requests, which is false before a model is there and while closing. */
import type { FastifyInstance } from 'fastify'
import { statusSchema } from '../schemas.js'
import type { CaptionService } from '../service.js'

export function healthRoutes(app: FastifyInstance, service: CaptionService): void {
  app.get(
    '/health',
    {
      schema: {
        summary: 'Whether the server runs',
        tags: ['operation'],
        security: [],
        response: { 200: statusSchema('It does') },
      },
    },
    () => ({ status: 'ok' }),
  )
  app.get(
    '/ready',
    {
      schema: {
        summary: 'Whether the server takes requests',
        tags: ['operation'],
        security: [],
        response: {
          200: statusSchema('It does'),
          503: statusSchema('It starts or shuts down'),
        },
      },
    },
    (_, reply) => {
      const isReady = service.ready()
      return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ready' : 'not ready' })
    },
  )
}
