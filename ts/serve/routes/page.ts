/** GET /, /page/*, /examples/*: the page's files, each a route of its own, so that no path of a request is looked for on disk. */
import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { PageFile } from '../page-files.js'

export function pageRoutes(app: FastifyInstance, files: ReadonlyMap<string, PageFile>): void {
  for (const [path, { type, body }] of files) {
    const etag = `"${createHash('sha256').update(body).digest('base64url')}"`
    app.get(path, { schema: { hide: true } }, (request, reply) => {
      reply.header('etag', etag).header('cache-control', 'no-cache')
      if (request.headers['if-none-match'] === etag) return reply.code(304).send()
      return reply.type(type).send(body)
    })
  }
}
