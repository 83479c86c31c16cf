/** `captioneer serve`: models as an HTTP server, from its start to the last reply. What it answers is serve/server.ts. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { basename, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { FastifyInstance } from 'fastify'
import { CaptioneerError } from '../errors.js'
import type { DeviceName } from '../native.js'
import type { CaptionServiceOptions } from '../serve/caption-service.js'
import { times } from '../serve/limits.js'
import { type LogLevel, logLevels } from '../serve/log.js'
import type { CaptionService, ServedModel } from '../serve/service.js'
import { noteFallback } from './fallback.js'
import { thousands } from './format.js'
import { interruptible } from './interrupt.js'
import { deviceOption, given, jsonFlags, numberFrom, oneOf, wholeNumber } from './options.js'
import { note, printJson } from './terminal.js'

interface ServeFlags {
  readonly model: readonly NamedFolder[]
  readonly host: string
  readonly port: number
  readonly device: DeviceName
  readonly maxBatch?: number
  readonly maxDelay?: number
  readonly maxQueue: number
  readonly timeout: number
  readonly token?: string
  readonly cors?: readonly string[]
  readonly allowImagesFrom?: readonly string[]
  readonly watch?: true
  readonly log?: LogLevel
  readonly json?: true
}

type NamedFolder = CaptionServiceOptions['models'][number]

/** Seconds that replies may still take after the last caption was made. */
const LAST_REPLIES = 5

export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .summary('serve captions over HTTP, with a page')
    .description(
      'Serve models over HTTP: a page at /, POST /caption, the contracts of the systems that it replaces, health, metrics ' +
        'and an OpenAPI document. /docs of the running server lists all of it.',
    )
    .requiredOption(
      '--model <[id=]folder...>',
      "model or run folders; requests name them by id, else the folder's name; the first is the default",
      addFolder,
    )
    .option('--host <address>', 'to listen at; 0.0.0.0 is for every network', '127.0.0.1')
    .option('--port <n>', '0 for any that is free', wholeNumber(0, 65_535), 8012)
    .addOption(deviceOption())
    .option('--max-batch <n>', 'images captioned together (default: 16)', wholeNumber(1, 256))
    .option(
      '--max-delay <ms>',
      'how long an image waits for others to be captioned with (default: 5)',
      numberFrom(0, 1000),
    )
    .option(
      '--max-queue <n>',
      'images of a model that wait or are captioned; more are refused with 429',
      wholeNumber(1, 100_000),
      128,
    )
    .option('--timeout <seconds>', 'longest wait for a caption', numberFrom(0.001, 3600), 30)
    .addOption(
      new Option('--token <text>', 'what captioning, /models and /metrics ask for as bearer token')
        .env('CAPTIONEER_TOKEN')
        .argParser(tokenText),
    )
    .option(
      '--cors <origin...>',
      'other sites whose pages may use it: https://example.org',
      addOrigin,
    )
    .option(
      '--allow-images-from <host...>',
      'hosts of the public internet whose images may be asked for by url',
      addHost,
    )
    .option('--watch', 'load a model again when its folder changes; SIGHUP does it at once')
    .addOption(
      new Option(
        '--log <level>',
        'of the JSON lines on stderr (default: info, on a terminal warn)',
      ).argParser(oneOf(logLevels)),
    )
    .option(...jsonFlags)
    .addHelpText('after', help)
    .action(run)
}

const help = `
SIGTERM or Ctrl-C: /ready becomes 503 at once, what was accepted is finished, and the exit code is 0; a second one exits
at once. SIGHUP loads the models again, without losing a request. With --json one document says where it listens.

Examples:
  captioneer serve --model ./runs/first
  captioneer serve --model photos=./runs/first --model art=./runs/art --max-batch 32
  CAPTIONEER_TOKEN=$(openssl rand -hex 24) captioneer serve --model ./runs/first --host 0.0.0.0
  curl -F file=@photo.jpg http://127.0.0.1:8012/caption
`

async function run(flags: ServeFlags): Promise<void> {
  const { createServer } = await import('../serve/server.js')
  const { createCaptionService } = await import('../serve/caption-service.js')
  const { model: models, device, timeout, maxQueue, token, cors, host, port } = flags
  const { watchModels } = await import('../serve/watch-models.js')
  await interruptible('finishing what was accepted; Ctrl-C again exits at once', async (signal) => {
    // From the start on: whenever the signal comes, it is not missed.
    const ended = once(signal, 'abort')
    const service = createCaptionService({
      models,
      device,
      maxQueue,
      timeoutSeconds: timeout,
      ...given({ maxBatch: flags.maxBatch, maxDelayMs: flags.maxDelay }),
    })
    const app = await createServer(service, {
      modelIds: models.map(({ id }) => id),
      maxQueue,
      token,
      corsOrigins: cors,
      imageHosts: flags.allowImagesFrom,
      logLevel: flags.log ?? (process.stderr.isTTY ? 'warn' : 'info'),
      // Nothing is sent while a caption is waited for.
      times: { idle: Math.max(times.idle, 1000 * (timeout + LAST_REPLIES)) },
    })
    const reload = (id: string) => reloadModel(service, id)
    const reloadAll = () => void Promise.all(models.map(({ id }) => reload(id)))
    // To the end: without a listener SIGHUP ends the process, whatever it has accepted.
    process.on('SIGHUP', reloadAll)
    const stopWatching = flags.watch ? watchModels(models, reload) : () => {}
    try {
      await listen(app, host, port)
      await Promise.race([service.loaded, ended])
      if (!signal.aborted) await announce(app, service, flags)
      await ended
    } finally {
      stopWatching()
      await drain(app, service, timeout + LAST_REPLIES)
      process.off('SIGHUP', reloadAll)
    }
  })
}

/** Says what is served and where. */
async function announce(
  app: FastifyInstance,
  service: CaptionService,
  { host, device, token, json }: ServeFlags,
): Promise<void> {
  const models = service.models()
  if (models.some((model) => model.device === 'cpu')) await noteFallback('captioning', device)
  const url = urlOf(app, host)
  for (const model of models) note(modelLine(model))
  note(`captioneer listens at ${url} (Ctrl-C ends it)`)
  if (!/^(127\.|localhost$|::1$)/.test(host) && token === undefined)
    note('anybody who can reach this address may use it; --token asks them for a token')
  if (json) printJson({ url, models: models.map(({ id, device }) => ({ id, device })) })
}

/** Refuses, finishes what was accepted, and closes what is left of the connections. */
async function drain(
  app: FastifyInstance,
  service: CaptionService,
  seconds: number,
): Promise<void> {
  const limit = delay(seconds * 1000, undefined, { ref: false })
  await Promise.race([service.close(), limit])
  await Promise.race([app.close(), limit])
  app.server.closeAllConnections()
}

async function reloadModel(service: CaptionService, id: string): Promise<void> {
  try {
    note(`loaded again: ${modelLine(await service.reload(id))}`)
  } catch (error) {
    note(`model ${id} stays as it was: ${error instanceof Error ? error.message : error}`)
  }
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<void> {
  try {
    await app.listen({ host, port, listenTextResolver: (address) => `listening at ${address}` })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const reason =
      {
        EADDRINUSE: `port ${port} is used by another program; choose another with --port`,
        EACCES: `port ${port} is not for this user; choose one above 1023 with --port`,
        EADDRNOTAVAIL: `this machine has no address ${host}; 0.0.0.0 stands for all it has`,
        ENOTFOUND: `there is no host ${host}`,
      }[code ?? ''] ?? message
    throw new CaptioneerError('ERR_SYSTEM', `listening at ${host}: ${reason}`, { cause: error })
  }
}

function urlOf(app: FastifyInstance, host: string): string {
  const address = app.server.address() as AddressInfo
  const name = host.includes(':') ? `[${host}]` : host
  return `http://${name}:${address.port}/`
}

function modelLine({ id, device, parameters, image, folder }: ServedModel): string {
  return `${id}: ${thousands(parameters)} parameters on ${device}, images of ${image.size} x ${image.size} (${folder})`
}

/** `id=folder`, or a folder, whose name is the id. */
function addFolder(word: string, before: readonly NamedFolder[] = []): NamedFolder[] {
  const [, named, rest] = /^([\w.-]{1,64})=(.+)$/s.exec(word) ?? []
  const folder = rest ?? word
  const id =
    named ??
    basename(resolve(folder))
      .replace(/[^\w.-]+/g, '-')
      .slice(0, 64)
  if (before.some((model) => model.id === id))
    throw new InvalidArgumentError(`Two models have the id "${id}"; name them: --model a=${folder}`)
  return [...before, { id, folder }]
}

function addOrigin(word: string, before: readonly string[] = []): string[] {
  const origin = URL.canParse(word) ? new URL(word).origin : undefined
  if (origin === word && /^https?:/.test(word)) return [...before, origin]
  throw new InvalidArgumentError('Expected an origin as a browser sends it: https://example.org')
}

function addHost(word: string, before: readonly string[] = []): string[] {
  // As it stands in an address of either kind: a usual port is left out there.
  const stands = ['http', 'https'].every(
    (scheme) => URL.canParse(`${scheme}://${word}`) && new URL(`${scheme}://${word}`).host === word,
  )
  if (stands) return [...before, word]
  throw new InvalidArgumentError('Expected a host as it stands in an address: images.example.org')
}

function tokenText(text: string): string {
  if (/^[\x21-\x7e]{8,512}$/.test(text)) return text
  throw new InvalidArgumentError('Expected 8 to 512 letters, digits and signs without spaces.')
}
