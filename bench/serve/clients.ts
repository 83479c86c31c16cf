/** Real clients: the lines of other systems' documents, and of ours, as they stand there, through curl and a shell. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { CaptionOptions } from '../../ts/decoding/options.js'
import { type CheckResult, createFindings } from './check.js'
import { replyText } from './clients-at-work.js'
import { startServer } from './server-process.js'
import type { Picture, Stage } from './stage.js'

/** What the documents say. */
const PORT = 8012

interface Line {
  readonly of: string
  readonly line: string
  readonly isRight: (text: string) => boolean | Promise<boolean>
}

export async function checkClients(stage: Stage): Promise<CheckResult> {
  const findings = createFindings()
  const isFree = await portIsFree(PORT)
  const server = await startServer(stage.model, ['--port', String(isFree ? PORT : 0)])
  findings.figure('port', isFree ? PORT : `${server.port}, as ${PORT} is used`)
  const picture =
    stage.pictures.find(({ extension }) => /jpe?g/.test(extension)) ?? stage.pictures[0]
  if (!picture) throw new Error('a stage has pictures')
  for (const name of ['example.jpg', 'photo.jpg'])
    await writeFile(join(stage.folder, name), picture.bytes)
  for (const { of, line, isRight } of linesFor(stage, picture)) {
    const text = await run(line.replaceAll(String(PORT), String(server.port)), stage.folder)
    const right = await Promise.resolve(isRight(text)).catch(() => false)
    findings.figure(of, right ? 'right' : 'WRONG')
    if (!right) findings.fail(`${of}: ${line}\n    replied ${text.slice(0, 500)}`)
  }
  await server.end()
  return findings.result()
}

function linesFor({ captioner }: Stage, picture: Picture): Line[] {
  const known = replyText('photo.jpg', picture)
  const { text } = picture.caption
  const offline = (options: CaptionOptions) => captioner.caption(picture.bytes, options)
  const predict = (prefix: string) =>
    `curl -s -H 'content-type: application/json' http://127.0.0.1:8012/predict ` +
    `-d "[{\\"image_captioning\\": \\"$(base64 -w0 photo.jpg)\\", \\"captions\\": \\"${prefix}\\"}]"`
  const caption = 'curl -s -F file=@photo.jpg'
  const url = 'http://127.0.0.1:8012/caption'
  return [
    {
      of: 'S2 caption',
      line: 'curl -X POST -F "file=@example.jpg" http://localhost:8012/caption',
      isRight: (reply) => reply === replyText('example.jpg', picture),
    },
    {
      of: "S2 caption as FastAPI's page writes it",
      line:
        "curl -X 'POST' 'http://localhost:8012/caption' -H 'accept: application/json' " +
        "-H 'Content-Type: multipart/form-data' -F 'file=@example.jpg;type=image/jpeg'",
      isRight: (reply) => reply === replyText('example.jpg', picture),
    },
    {
      of: 'S3 classify',
      line: 'curl -s -F "file=@photo.jpg" http://127.0.0.1:8012/classify',
      isRight: (reply) => reply === known,
    },
    {
      of: 'S1 info',
      line: 'curl -s http://localhost:8012/info',
      isRight: (reply) => {
        const { size } = captioner.image
        const inputs = { image_captioning: { type: 'image', shape: [3, size, size] } }
        return reply === JSON.stringify({ inputs, outputs: {} })
      },
    },
    {
      of: 'S1 predict',
      line: predict(''),
      isRight: (reply) => reply === JSON.stringify({ result: [{ captions: text }] }),
    },
    {
      of: 'S1 predict with a prefix',
      line: predict('a red'),
      isRight: async (reply) => {
        const { text } = await offline({ prefix: 'a red' })
        return reply === JSON.stringify({ result: [{ captions: text }] })
      },
    },
    { of: 'caption', line: `${caption} ${url}`, isRight: (reply) => reply === known },
    {
      of: 'beam search, three captions',
      line: `${caption} -F beam=5 -F num_captions=3 ${url}`,
      isRight: async (reply) => {
        const { captions = [] } = await offline({ beam: 5, numCaptions: 3 })
        const expected = captions.map(({ text, score }) => ({ caption: text, score }))
        return JSON.stringify(JSON.parse(reply).captions) === JSON.stringify(expected)
      },
    },
    {
      of: 'sampling by a seed',
      line: `${caption} '${url}?temperature=0.8&top_p=0.9&seed=7'`,
      isRight: async (reply) => {
        const { text, score } = await offline({ temperature: 0.8, topP: 0.9, seed: 7 })
        const { caption, score: own } = JSON.parse(reply)
        return caption === text && own === score
      },
    },
    {
      of: 'two files',
      line: `curl -s -F file=@photo.jpg -F file=@example.jpg ${url}`,
      isRight: (reply) => {
        const results = JSON.parse(reply).results as { image: string; caption: string }[]
        const names = results.map(({ image }) => image).join()
        return names === 'photo.jpg,example.jpg' && results.every((one) => one.caption === text)
      },
    },
    {
      of: 'a stream',
      line: `curl -sN -F file=@photo.jpg '${url}?stream=true'`,
      isRight: (reply) =>
        reply.includes('event: token\n') &&
        reply.trimEnd().endsWith(`event: caption\ndata: ${known}`),
    },
    {
      of: 'ready',
      line: 'curl -sf http://127.0.0.1:8012/ready',
      isRight: (reply) => reply === '{"status":"ready"}',
    },
    {
      of: 'page',
      line: 'curl -sf http://127.0.0.1:8012/',
      isRight: (reply) => /<!doctype html>/i.test(reply),
    },
  ]
}

async function run(line: string, cwd: string): Promise<string> {
  const options = { cwd, maxBuffer: 2 ** 24 }
  // curl's own status says less than what it got.
  const failed = (error: { stdout?: string; stderr?: string }) => `${error.stdout}${error.stderr}`
  return await promisify(execFile)('/bin/sh', ['-c', line], options).then(
    ({ stdout }) => stdout,
    failed,
  )
}

function portIsFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
