/** GET /models: what is loaded. POST /models/:id/reload: reads a model's folder again, for who has the token. */
import type { FastifyInstance } from 'fastify'
import { HttpError } from '../http-error.js'
import { type Models, modelId } from '../models.js'
import { failures, modelSchema } from '../schemas.js'
import type { ServedModel } from '../service.js'

/** @param hasToken without a token of the server nobody can have it, so that reloading is refused */
export function modelRoutes(app: FastifyInstance, models: Models, hasToken: boolean): void {
  const { service } = models
  app.get(
    '/models',
    {
      schema: {
        summary: 'The models that are loaded, the default first',
        tags: ['models'],
        response: {
          200: {
            type: 'object',
            description: 'The models',
            properties: { models: { type: 'array', items: modelSchema } },
          },
        },
      },
    },
    () => ({ models: service.models().map(modelReply) }),
  )
  app.post<{ Params: { id: string } }>(
    '/models/:id/reload',
    {
      schema: {
        summary: "Load a model's folder again; requests go on meanwhile",
        tags: ['models'],
        params: { type: 'object', properties: { id: { type: 'string' } } },
        response: { 200: modelSchema, ...failures(401, 403, 404, 503) },
      },
    },
    async ({ params: { id } }) => {
      if (!hasToken)
        throw new HttpError(
          403,
          'ERR_FORBIDDEN',
          'Reloading over HTTP needs a server that was started with --token; without one, send it SIGHUP',
        )
      return modelReply(await service.reload(modelId(models, id)))
    },
  )
}

/** What anybody may know of a model: not where its folder lies. */
function modelReply({ folder: _, ...model }: ServedModel): object {
  return model
}
