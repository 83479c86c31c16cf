/**
 * Weights & Biases, through the Python client that the user has: feed_wandb.py beside the sources reads JSON lines from us.
 * Account, project, server and offline mode are that client's to read, from its login and its WANDB_... variables.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { basename, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { packageRoot } from '../../native.js'
import { samplePath } from './history.js'
import { rememberedNames, rememberName } from './remembered.js'
import { metricsOf, type Outcome, type TrackedRun, type Tracker } from './tracker.js'

/** Longest time that the end of a run waits for uploads, ms; after it they go on alone. */
const UPLOAD_TIME = 60_000
const exitCodes: Readonly<Record<Outcome, number>> = { finished: 0, interrupted: 255, failed: 1 }

/** Starts the client; CAPTIONEER_PYTHON names the Python that has it, python3 when unset. */
export async function wandbTracker(run: TrackedRun): Promise<Tracker> {
  const { folder, config, startStep, fail } = run
  const earlier = startStep > 0 ? (await rememberedNames(folder)).wandb : undefined
  const id = earlier ?? randomBytes(6).toString('hex')
  await rememberName(folder, 'wandb', id)

  const python = process.env.CAPTIONEER_PYTHON ?? 'python3'
  // In a group of its own, so that Ctrl-C ends the training and not the client first.
  const child = spawn(python, ['-u', join(packageRoot, 'ts/train/trackers/feed_wandb.py')], {
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
  })
  let said = ''
  let alive = true
  child.stderr.on('data', (bytes: Buffer) => {
    said = (said + bytes.toString()).slice(-2000)
  })
  const ended = new Promise<void>((resolve) => {
    child.on('error', (error) => {
      alive = false
      fail(`${python} cannot be started (${error.message}). Set CAPTIONEER_PYTHON to a Python`)
      resolve()
    })
    child.on('close', (code) => {
      alive = false
      if (code !== 0) fail(reason(python, said, code))
      resolve()
    })
  })
  // What is written to a client that has ended is lost; that it has, `close` tells.
  child.stdin.on('error', () => {})
  const send = (message: object) => {
    if (alive) child.stdin.write(`${JSON.stringify(message)}\n`)
  }

  send({
    id,
    resume: 'allow',
    dir: folder,
    name: basename(folder),
    project: process.env.WANDB_PROJECT ?? 'captioneer',
    config,
  })
  return {
    name: 'Weights & Biases',
    log: (row) => send({ step: row.step, values: metricsOf(row) }),
    image: ({ step, name, caption }) =>
      send({ step, images: { [`samples/${name}`]: { path: samplePath(folder, name), caption } } }),
    close: async (outcome) => {
      send({ exit_code: exitCodes[outcome] })
      child.stdin.end()
      const abort = new AbortController()
      const late = wait(UPLOAD_TIME, 'late', { signal: abort.signal }).catch(() => 'done')
      const first = await Promise.race([ended.then(() => 'ended'), late])
      abort.abort()
      if (first !== 'late') return
      fail('it is still uploading, and goes on with that after the training has ended')
      child.stderr.destroy()
      child.unref()
    },
  }
}

function reason(python: string, said: string, code: number | null): string {
  if (/No module named '?wandb/.test(said))
    return `${python} has no package wandb. Install it with "${python} -m pip install wandb", or set CAPTIONEER_PYTHON`
  const last = said.trim().split('\n').at(-1) ?? ''
  return `its client ended with code ${code}: ${last || 'it said nothing'}`
}
