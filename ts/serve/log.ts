/** The server's log: JSON lines, one for each request that ended. Headers, queries and bodies never get into it. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { LoggerOptions } from 'pino'

export const logLevels = ['silent', 'error', 'warn', 'info', 'debug'] as const
export type LogLevel = (typeof logLevels)[number]

/** @param stream where lines go: stderr, as stdout is for results */
export function logOptions(level: LogLevel, stream: NodeJS.WritableStream) {
  return {
    level,
    stream,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: {
      req: ({ method, url = '', ip }: FastifyRequest) => ({ method, path: pathOf(url), from: ip }),
    },
    // Nothing above logs headers; this holds for what plugins may.
    redact: { paths: ['*.headers.authorization', '*.headers.cookie', 'headers'], censor: '***' },
  } satisfies LoggerOptions & { stream: NodeJS.WritableStream }
}

/** One line about a request that ended. */
export function logEnd(request: FastifyRequest, reply: FastifyReply, status: number): void {
  const line = {
    method: request.method,
    path: pathOf(request.url),
    status,
    ms: Math.round(reply.elapsedTime),
  }
  if (status >= 500) request.log.warn(line, 'request failed')
  // Probes come every few seconds.
  else if (/^\/(health|ready|metrics)$/.test(line.path)) request.log.debug(line, 'probe')
  else request.log.info(line, 'request')
}

/** Without the query, in which a prefix may stand. */
function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? ''
}
