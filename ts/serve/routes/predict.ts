/**
 * EIR's serving contract: POST /predict and GET /info, as its tutorial of image captioning uses them. Their shapes are EIR's and
 * FastAPI's, whatever ours are elsewhere. Source: EIR's eirserve, https://eir.readthedocs.io.
 */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ImageError } from '../../errors.js'
import { captionFields } from '../caption-fields.js'
import { failureBody, failureOf, HttpError } from '../http-error.js'
import { limits } from '../limits.js'
import { defaultModel, modelId } from '../models.js'
import { type CaptionRoutes, type RequestLife, requestLife } from '../request-life.js'
import { failures } from '../schemas.js'

/** The names of the tutorial's input and output. */
const IMAGE = 'image_captioning'
const TEXT = 'captions'

type Sample = Readonly<Record<typeof IMAGE | typeof TEXT, string>>

const body = {
  type: 'array',
  maxItems: limits.predictions,
  items: {
    type: 'object',
    required: [IMAGE, TEXT],
    properties: {
      [IMAGE]: { type: 'string', description: 'an image file as base64' },
      [TEXT]: { type: 'string', description: 'what the caption begins with, or ""' },
    },
  },
} as const

const detail = {
  type: 'object',
  description: 'What is wrong with the body, as FastAPI tells it',
  properties: {
    detail: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          type: { type: 'string' },
          loc: { type: 'array', items: {} },
          msg: { type: 'string' },
        },
      },
    },
  },
} as const

export function predictRoutes(app: FastifyInstance, routes: CaptionRoutes): void {
  const lives = new WeakMap<object, RequestLife>()
  app.post<{ Body: readonly Sample[] }>(
    '/predict',
    {
      bodyLimit: limits.json,
      schema: {
        summary: "Caption images as EIR's server does",
        tags: ['EIR'],
        body,
        response: {
          200: {
            type: 'object',
            description: 'The captions, in order',
            properties: {
              result: {
                type: 'array',
                items: { type: 'object', properties: { [TEXT]: { type: 'string' } } },
              },
            },
          },
          ...failures(400, 401, 413, 415, 429, 503, 504),
          422: detail,
        },
      },
      // The body counts before it is read, whole where its length is not told.
      onRequest: async (request, reply) => {
        routes.refuseEarly()
        const life = requestLife(reply, routes)
        const length = Number(request.headers['content-length'] ?? limits.json)
        life.share.take(Math.min(length, limits.json))
        lives.set(request, life)
      },
      errorHandler,
    },
    (request) => predict(request, lives.get(request) as RequestLife, routes),
  )
  app.get(
    '/info',
    {
      schema: {
        summary: "Inputs and outputs of the model, as EIR's server tells them",
        tags: ['EIR'],
        response: { 200: { type: 'object', description: 'Inputs', additionalProperties: true } },
      },
    },
    () => {
      const { size } = defaultModel(routes).image
      return { inputs: { [IMAGE]: { type: 'image', shape: [3, size, size] } }, outputs: {} }
    },
  )
}

async function predict(
  { body, query }: FastifyRequest<{ Body: readonly Sample[] }>,
  { signal }: RequestLife,
  routes: CaptionRoutes,
): Promise<object> {
  const { model, options } = captionFields(Object.entries(query as Record<string, string>))
  const id = modelId(routes, model)
  const images = body.map((sample) => Buffer.from(sample[IMAGE], 'base64'))
  const result = await Promise.all(
    images.map(async (image, i) => {
      if (image.length > limits.file)
        throw new HttpError(413, 'ERR_TOO_LARGE', `predict: image ${i} has more than 10 MiB`)
      const own = { ...options, prefix: body[i]?.[TEXT] ?? '' }
      try {
        const { text } = await routes.service.caption({ model: id, image, options: own, signal })
        return { [TEXT]: text }
      } catch (error) {
        throw error instanceof ImageError ? new SampleError(i, error) : error
      }
    }),
  )
  return { result }
}

/** An image of the body that cannot be decoded. */
class SampleError extends ImageError {
  readonly index: number
  constructor(index: number, { message }: ImageError) {
    super(message)
    this.index = index
  }
}

function errorHandler(error: FastifyError, request: FastifyRequest, reply: FastifyReply) {
  const problem = problemOf(error)
  if (!problem) throw error
  const failure = failureOf(error, request.id)
  return reply.code(422).send({ detail: [problem], ...failureBody(failure, request.id) })
}

/** One item of FastAPI's `detail`. */
interface Problem {
  readonly type: string
  readonly loc: readonly (string | number)[]
  readonly msg: string
}

/** A body that is not as it should be, in FastAPI's words; undefined for all other errors. */
function problemOf(error: FastifyError): Problem | undefined {
  if (error instanceof SampleError)
    return { type: 'value_error', loc: ['body', error.index, IMAGE], msg: error.message }
  if (error.code === 'FST_ERR_CTP_EMPTY_JSON_BODY')
    return { type: 'missing', loc: ['body'], msg: 'Field required' }
  if (error.code === 'FST_ERR_CTP_INVALID_JSON_BODY' || error instanceof SyntaxError)
    return { type: 'json_invalid', loc: ['body', 0], msg: 'JSON decode error' }
  const [first] = error.validation ?? []
  if (!first) return undefined
  const path = first.instancePath
    .split('/')
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part))
  const loc = ['body', ...path]
  if (first.keyword === 'required')
    return {
      type: 'missing',
      loc: [...loc, String(first.params.missingProperty)],
      msg: 'Field required',
    }
  if (first.keyword === 'maxItems')
    return {
      type: 'too_long',
      loc,
      msg: `List should have at most ${limits.predictions} items after validation`,
    }
  const kind = { array: 'list', object: 'dictionary' }[String(first.params.type)] ?? 'string'
  return {
    type: `${kind === 'dictionary' ? 'dict' : kind}_type`,
    loc,
    msg: `Input should be a valid ${kind}`,
  }
}
