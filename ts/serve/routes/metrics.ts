/** GET /metrics: what Prometheus reads. */
import type { FastifyInstance } from 'fastify'
import type { ServerMetrics } from '../metrics.js'

export function metricsRoute(app: FastifyInstance, metrics: ServerMetrics): void {
  const schema = {
    summary: "Metrics in Prometheus' text format",
    tags: ['operation'],
    produces: ['text/plain'],
    response: { 200: { type: 'string', description: 'Metrics' } },
  }
  app.get('/metrics', { schema }, async (_, reply) =>
    reply.type(metrics.type).send(await metrics.text()),
  )
}
