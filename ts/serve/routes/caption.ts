/**
 * POST /caption: images of a form to captions, all at once or word by word. POST /classify is its other name, S3's.
 * Reading the form is upload.ts, the reply reply.ts.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ArgumentError } from '../../errors.js'
import { type CaptionFields, captionFields } from '../caption-fields.js'
import { eventStream } from '../event-stream.js'
import { failureBody, failureOf, HttpError } from '../http-error.js'
import { limits } from '../limits.js'
import { modelId } from '../models.js'
import { captionReply, classifyKeys } from '../reply.js'
import { type CaptionRoutes, type RequestLife, requestLife } from '../request-life.js'
import { captionForm, captionSchema, failures, optionsQuery } from '../schemas.js'
import { readUpload, type UploadedImage } from '../upload.js'

const schema = {
  summary: 'Caption images',
  description:
    'Options are form fields or query parameters; what is left out is as the model says. With stream=true, or ' +
    '"accept: text/event-stream", server-sent events: "token" with the text so far, then "caption" with the reply.',
  tags: ['captions'],
  consumes: ['multipart/form-data'],
  querystring: optionsQuery,
  body: captionForm,
  response: {
    200: {
      description:
        'The caption; of several files { results: [...] }, where one that failed has { image, error }',
      ...captionSchema,
    },
    ...failures(400, 401, 404, 413, 415, 422, 429, 503, 504),
  },
}

export function captionRoutes(app: FastifyInstance, routes: CaptionRoutes): void {
  for (const url of ['/caption', '/classify'])
    app.post(
      url,
      // The schema is for the document: fields are checked by name, with words of our own.
      { schema, validatorCompiler: () => () => true },
      (request, reply) => answer(request, reply, routes),
    )
}

async function answer(request: FastifyRequest, reply: FastifyReply, routes: CaptionRoutes) {
  routes.refuseEarly()
  const life = requestLife(reply, routes)
  const upload = await readUpload(request, life.share)
  const given = [...upload.fields, ...queryFields(request)]
  const fields = captionFields(given.filter(([name]) => name !== 'url'))
  const model = modelId(routes, fields.model)
  const urls = given.flatMap(([name, value]) => (name === 'url' ? [value] : []))
  if (upload.images.length + urls.length > limits.files)
    throw new HttpError(
      413,
      'ERR_TOO_LARGE',
      `caption: a request holds at most ${limits.files} images`,
    )
  const images = [...upload.images, ...(await fetchAll(urls, routes, life))]
  const [image] = images
  if (!image)
    throw new ArgumentError('caption: expected at least one image file in the form field "file"')
  const asked = { routes, request, life, fields, model }
  const isStream = fields.stream || /\btext\/event-stream\b/i.test(request.headers.accept ?? '')
  if (images.length > 1 && isStream)
    throw new ArgumentError(
      `caption: a stream is of one image, received ${images.length}; send them one by one`,
    )
  if (images.length > 1) return { results: await captionAll(asked, images) }
  return isStream ? stream(asked, image, reply) : captionOne(asked, image)
}

async function fetchAll(
  urls: readonly string[],
  { fetchImage }: CaptionRoutes,
  { share, signal }: RequestLife,
): Promise<UploadedImage[]> {
  if (urls.length === 0) return []
  if (!fetchImage)
    throw new ArgumentError(
      'caption: this server fetches no images by url, as it was started without --allow-images-from. Send them as "file"',
    )
  return await Promise.all(urls.map((url) => fetchImage(url, share, signal)))
}

/** A request that has been read. */
interface Asked {
  readonly routes: CaptionRoutes
  readonly request: FastifyRequest
  readonly life: RequestLife
  readonly fields: CaptionFields
  readonly model: string
}

async function captionOne(
  asked: Asked,
  { name, bytes }: UploadedImage,
  onProgress?: (text: string) => void,
) {
  const { routes, fields, model, life } = asked
  const caption = await routes.service.caption({
    model,
    image: bytes,
    options: fields.options,
    signal: life.signal,
    onProgress,
  })
  return { ...captionReply(name, model, caption), ...classifyKeys(name, caption) }
}

/** @throws the first image's error when all have one that is not their own fault */
async function captionAll(asked: Asked, images: readonly UploadedImage[]): Promise<object[]> {
  const { routes, fields, model, life, request } = asked
  const { options } = fields
  const settled = await Promise.allSettled(
    images.map(({ bytes }) =>
      routes.service.caption({ model, image: bytes, options, signal: life.signal }),
    ),
  )
  const failed = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  const own = failed.filter((error) => failureOf(error, request.id).status === 422)
  if (failed.length === images.length && own.length === 0) throw failed[0]
  return settled.map((one, i) => {
    const image = images[i]?.name ?? ''
    if (one.status === 'fulfilled') return captionReply(image, model, one.value)
    const { code, message } = failureOf(one.reason, request.id)
    return { image, error: { code, message } }
  })
}

async function stream(asked: Asked, image: UploadedImage, reply: FastifyReply) {
  const { request } = asked
  const events = await eventStream((progress) => captionOne(asked, image, progress), {
    heartbeat: asked.routes.heartbeat,
    failure: (error) => {
      const failure = failureOf(error, request.id)
      if (failure.status >= 500) request.log.error(error, 'a stream failed')
      return failureBody(failure, request.id)
    },
  })
  // Proxies that gather a reply before they send it would keep the words back.
  return reply.type('text/event-stream').header('x-accel-buffering', 'no').send(events)
}

function queryFields({ query }: FastifyRequest): (readonly [string, string])[] {
  return Object.entries(query as Record<string, string | string[]>).flatMap(([name, value]) =>
    [value].flat().map((one) => [name, one] as const),
  )
}
