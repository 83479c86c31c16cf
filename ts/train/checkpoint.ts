/**
 * Checkpoints of a run: one safetensors file per step, written whole and carrying a SHA-256 of all its
 * bytes. What the tensors and the state mean is left to the training loop.
 */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CheckpointError, internalError } from '../errors.js'
import { removeLeftovers } from '../files/atomic.js'
import { readSafetensors, type SafetensorsFile, writeSafetensors } from '../files/safetensors.js'
import type { TensorEntry } from '../files/safetensors-format.js'
import { fileError, systemCode } from '../files/system-error.js'

// Changes when older files can no longer be resumed from; they are refused then, not misread.
const layout = 'captioneer checkpoint, layout 2'

/** A checkpoint file of a folder. */
export interface CheckpointFile {
  readonly step: number
  readonly path: string
}

/** A damaged or foreign checkpoint that was passed over, and why. */
export interface SkippedCheckpoint {
  readonly file: string
  readonly reason: string
}

/** A checkpoint in memory. */
export interface Checkpoint {
  readonly step: number
  readonly path: string
  readonly tensors: SafetensorsFile
  /** The JSON value given to `saveCheckpoint`. */
  readonly state: unknown
  /** Newer files that could not be used. */
  readonly skipped: readonly SkippedCheckpoint[]
}

/**
 * Saves `step-00001234.safetensors`; once it is safe on the disk, deletes all but the newest `keep` of the
 * checkpoints up to this step. Those of later steps, which another run has left, are not touched.
 *
 * @param folder   created when missing
 * @param step     optimizer steps done, 0 or more
 * @param tensors  must not change until the promise settles
 * @param state    JSON value; NaN and infinities have no JSON and are refused
 * @throws CheckpointError when it cannot be written; earlier checkpoints stay
 */
export async function saveCheckpoint(
  folder: string,
  step: number,
  tensors: Iterable<TensorEntry>,
  state: unknown,
  { keep }: { readonly keep: number },
): Promise<CheckpointFile> {
  const path = join(folder, `step-${String(step).padStart(8, '0')}.safetensors`)
  const metadata = new Map([
    ['layout', layout],
    ['step', String(step)],
    ['state', stateToJson(state)],
  ])
  try {
    await mkdir(folder, { recursive: true })
    await writeSafetensors(path, tensors, metadata)
    await removeLeftovers(folder)
    const older = (await listCheckpoints(folder)).filter((file) => file.step < step)
    for (const file of older.slice(Math.max(0, keep - 1))) await rm(file.path, { force: true })
  } catch (error) {
    throw fileError(`saving checkpoint ${path}`, error)
  }
  return { step, path }
}

/**
 * The newest checkpoint that is whole. Damaged ones are passed over and told in `skipped`.
 *
 * @returns undefined when the folder holds no checkpoint or does not exist
 * @throws CheckpointError when there are checkpoints and all are damaged, or the folder cannot be read;
 *   OutOfMemoryError when the newest does not fit into memory
 */
export async function loadNewestCheckpoint(folder: string): Promise<Checkpoint | undefined> {
  const skipped: SkippedCheckpoint[] = []
  for (const { step, path } of await listCheckpoints(folder)) {
    try {
      const tensors = await readSafetensors(path)
      return { step, path, tensors, state: readState(tensors, step), skipped }
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error
      skipped.push({ file: path, reason: error.message })
    }
  }
  if (skipped.length === 0) return undefined
  const reasons = skipped.map(({ reason }) => `\n  ${reason}`).join('')
  throw new CheckpointError(
    `resuming from ${folder}: none of ${skipped.length} checkpoints can be used. ` +
      `Restore one from a backup, or start a new run in another folder.${reasons}`,
  )
}

/**
 * The checkpoint files of a folder, newest first; empty when the folder does not exist.
 *
 * @throws CheckpointError when the folder cannot be read
 */
export async function listCheckpoints(folder: string): Promise<CheckpointFile[]> {
  const names = await readdir(folder).catch((error) => {
    if (systemCode(error) === 'ENOENT') return []
    throw fileError(`reading ${folder}`, error)
  })
  return names
    .flatMap((name) => {
      const step = /^step-(\d{8,15})\.safetensors$/.exec(name)?.[1]
      return step === undefined ? [] : { step: Number(step), path: join(folder, name) }
    })
    .sort((a, b) => b.step - a.step)
}

function readState({ path, metadata, verified }: SafetensorsFile, step: number): unknown {
  if (metadata.get('layout') !== layout || !verified) {
    throw new CheckpointError(
      `reading ${path}: not a checkpoint of this version of captioneer (${layout})`,
    )
  }
  if (metadata.get('step') !== String(step)) {
    throw new CheckpointError(
      `reading ${path}: it holds step ${metadata.get('step')}. Give the file its name back`,
    )
  }
  return JSON.parse(metadata.get('state') ?? 'null')
}

// JSON.stringify turns NaN and infinities into null, which would resume as something else.
function stateToJson(state: unknown): string {
  return JSON.stringify(state, (key, value: unknown) => {
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw internalError(`saving a checkpoint: state "${key}" is ${value}, which JSON cannot hold`)
    }
    return value
  })
}
