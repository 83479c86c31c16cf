/** GET /openapi.json: made from the routes' schemas. GET /docs: the same for people. */
import type { FastifyInstance } from 'fastify'
import { docsPage, docsStyle, type OpenApi } from '../docs-page.js'

export function docsRoutes(app: FastifyInstance): void {
  const schema = { hide: true }
  app.get('/openapi.json', { schema }, () => app.swagger())
  app.get('/docs', { schema }, (_, reply) =>
    reply.type('text/html; charset=utf-8').send(docsPage(app.swagger() as OpenApi)),
  )
  app.get('/docs/style.css', { schema }, (_, reply) =>
    reply.type('text/css; charset=utf-8').send(docsStyle),
  )
}
