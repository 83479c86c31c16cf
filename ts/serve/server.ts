/**
 * The HTTP server over a caption service: its limits, hooks and routes put together. Routes are routes/, starting and
 * stopping it is cli/serve.ts's business.
 */
import type { Socket } from 'node:net'
import multipart from '@fastify/multipart'
import swagger from '@fastify/swagger'
import {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify'
import { QueueFullError } from '../errors.js'
import { version } from '../version.js'
import { imageFetcher } from './fetch-image.js'
import { CLIENT_GONE, failureBody, failureOf, HttpError } from './http-error.js'
import { limits, type ServerTimes, times } from './limits.js'
import { type LogLevel, logEnd, logOptions } from './log.js'
import { type ServerMetrics, serverMetrics } from './metrics.js'
import { pageFiles } from './page-files.js'
import { requestId } from './request-id.js'
import { captionRoutes } from './routes/caption.js'
import { docsRoutes } from './routes/docs.js'
import { healthRoutes } from './routes/health.js'
import { metricsRoute } from './routes/metrics.js'
import { modelRoutes } from './routes/models.js'
import { pageRoutes } from './routes/page.js'
import { predictRoutes } from './routes/predict.js'
import { secure } from './security.js'
import type { CaptionService } from './service.js'
import { tokenCheck } from './token.js'
import { uploadBudget } from './upload-budget.js'

export interface ServerOptions {
  /** Of the service's models, the default first. */
  readonly modelIds: readonly string[]
  /** Images that the service lets wait for one model: when all have so many, uploads are refused before they are read. */
  readonly maxQueue: number
  /** What captioning, models and metrics ask for as a bearer token; all may use them when left out. */
  readonly token?: string | undefined
  /** Other sites whose pages may use the server. */
  readonly corsOrigins?: readonly string[] | undefined
  /** Hosts whose images may be asked for by URL; none when left out. */
  readonly imageHosts?: readonly string[] | undefined
  readonly logLevel?: LogLevel | undefined
  /** Other limits of time than `times`, ms. */
  readonly times?: Partial<ServerTimes> | undefined
  /** Where log lines go; stderr when left out. */
  readonly logStream?: NodeJS.WritableStream | undefined
}

/** A server that does not listen yet: `await app.listen({ host, port })`. Closing it leaves the service open. */
export async function createServer(
  service: CaptionService,
  options: ServerOptions,
): Promise<FastifyInstance> {
  const { modelIds, maxQueue, token, corsOrigins = [], imageHosts = [] } = options
  const { logLevel = 'info', logStream = process.stderr } = options
  const time = { ...times, ...options.times }
  const app: FastifyInstance = fastify({
    logger: logOptions(logLevel, logStream),
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: requestId,
    requestIdHeader: false,
    bodyLimit: 64 * 1024,
    connectionTimeout: time.idle,
    keepAliveTimeout: time.keepAlive,
    requestTimeout: time.request,
    http: {
      maxHeaderSize: limits.headers,
      headersTimeout: time.headers,
      connectionsCheckingInterval: Math.min(2000, time.headers),
    },
    forceCloseConnections: 'idle',
    // While it closes the service refuses with our words, and health goes on telling.
    return503OnClosing: false,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
    clientErrorHandler,
  })
  app.removeContentTypeParser('text/plain')
  app.server.maxConnections = limits.connections
  // Schemas of replies are for the document.
  app.setSerializerCompiler(() => JSON.stringify)
  app.setErrorHandler(errorHandler)
  app.setNotFoundHandler(notFound)

  const metrics = serverMetrics(service)
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    reply.raw.once('close', () => requestEnded(metrics, request, reply))
  })
  // Once it shuts down no connection is kept: a client that sent its next request on one would see it reset. A body that
  // is still coming would reset it too.
  app.addHook('onSend', async (request, reply) => {
    if (!service.ready() && request.raw.complete) reply.header('connection', 'close')
  })
  await secure(app, corsOrigins)
  await app.register(swagger, { openapi: openapi(token !== undefined) })
  await app.register(multipart, {
    throwFileSizeLimit: false,
    limits: {
      fileSize: limits.file,
      files: limits.files,
      fields: limits.fields,
      fieldSize: limits.field,
      fieldNameSize: limits.fieldName,
      headerPairs: limits.partHeaders,
      parts: limits.files + limits.fields,
    },
  })

  docsRoutes(app)
  pageRoutes(app, await pageFiles())
  await app.register(async (guarded) => {
    if (token !== undefined) {
      const check = tokenCheck(token)
      guarded.addHook('onRequest', async (request) => check(request))
    }
    const refuseEarly = () => {
      const { queued, running } = service.facts()
      if (queued + running >= maxQueue * modelIds.length)
        throw new QueueFullError(`${queued} images wait already. Try again in a second`, 1)
    }
    const { heartbeat } = time
    const routes = {
      service,
      modelIds,
      fetchImage: imageHosts.length > 0 ? imageFetcher({ hosts: imageHosts }) : undefined,
      heartbeat,
      share: uploadBudget(limits.uploads),
      refuseEarly,
    }
    captionRoutes(guarded, routes)
    predictRoutes(guarded, routes)
    modelRoutes(guarded, routes, token !== undefined)
    metricsRoute(guarded, metrics)
  })
  healthRoutes(app, service)
  return app
}

function requestEnded(metrics: ServerMetrics, request: FastifyRequest, reply: FastifyReply): void {
  const status = reply.raw.writableFinished ? reply.statusCode : CLIENT_GONE
  const route = request.routeOptions.url ?? 'unknown'
  metrics.requestEnded(request.method, route, status, reply.elapsedTime / 1000)
  logEnd(request, reply, status)
}

function errorHandler(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = failureOf(error, request.id)
  // Whoever wrote the program wants the stack, in the log.
  if (failure.status === 500) request.log.error(error, 'the server failed')
  if (failure.retryAfter !== undefined) reply.header('retry-after', failure.retryAfter)
  if (failure.status === 401) reply.header('www-authenticate', 'Bearer')
  return reply.code(failure.status).type('application/json').send(failureBody(failure, request.id))
}

function notFound(
  this: FastifyInstance,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const path = request.url.split('?', 1)[0] ?? ''
  const allowed = (['GET', 'POST'] as const).filter((method) =>
    this.hasRoute({ url: path, method }),
  )
  if (allowed.length > 0) reply.header('allow', allowed.join(', '))
  const error =
    allowed.length > 0
      ? new HttpError(
          405,
          'ERR_METHOD',
          `${path.slice(0, 100)} takes ${allowed.join(' and ')}, not ${request.method}`,
        )
      : new HttpError(
          404,
          'ERR_NOT_FOUND',
          `There is no ${path.slice(0, 100)}; /docs lists what there is`,
        )
  return errorHandler(error, request, reply)
}

/** What is no HTTP, or came too slowly: there is no request to reply to, only a socket. */
function clientErrorHandler(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable)
    return void socket.destroy()
  const [status, phrase, code, message] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? ([408, 'Request Timeout', 'ERR_TIMEOUT', 'The request came too slowly'] as const)
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? ([
            431,
            'Request Header Fields Too Large',
            'ERR_TOO_LARGE',
            'The headers are too large',
          ] as const)
        : ([400, 'Bad Request', 'ERR_BAD_REQUEST', 'This is not HTTP/1.1'] as const)
  const id = requestId({ headers: {} })
  const body = JSON.stringify(failureBody({ status, code, message }, id))
  socket.end(
    `HTTP/1.1 ${status} ${phrase}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
      `x-request-id: ${id}\r\nconnection: close\r\n\r\n${body}`,
  )
}

function openapi(hasToken: boolean) {
  const bearer = { type: 'http', scheme: 'bearer' } as const
  return {
    openapi: '3.1.0',
    info: {
      title: 'captioneer',
      version,
      description: 'Captions of images, by models that run on this machine.',
    },
    ...(hasToken
      ? { components: { securitySchemes: { bearer } }, security: [{ bearer: [] }] }
      : {}),
  }
}
