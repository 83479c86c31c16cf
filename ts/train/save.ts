/** What a run writes: checkpoints to resume from, and the model folder of the best step. */
import { join } from 'node:path'
import type { TensorEntry } from '../files/safetensors-format.js'
import { saveModelFolder } from '../models/model-folder.js'
import type { Tensor } from '../tensor.js'
import { version } from '../version.js'
import { loadNewestCheckpoint, saveCheckpoint } from './checkpoint.js'
import { modelCard } from './model-card.js'
import { refreshHalf } from './optimizer.js'
import type { Run } from './prepare.js'
import { type RunState, readState } from './run-state.js'
import { readValues } from './weights.js'

/** All tensors that decide what comes next, by name: flat weights, moments and average, optimizer state, statistics. */
function resumable(run: Run): [name: string, tensor: Tensor][] {
  const { weight, m, v, average, state } = run.weights.optimizer
  const named = { weight, m, v, average, state }
  return [
    ...Object.entries(named).flatMap(([name, t]): [string, Tensor][] => (t ? [[name, t]] : [])),
    ...run.weights.others.map(([name, t]): [string, Tensor] => [`other.${name}`, t]),
  ]
}

/** Saves a checkpoint of the step just done. @throws CheckpointError; earlier checkpoints stay */
export async function saveRun(run: Run): Promise<void> {
  const entries = await Promise.all(
    resumable(run).map(async ([name, t]): Promise<TensorEntry> => {
      const values = await t.readFloats()
      return { name, dtype: 'F32', shape: t.shape, data: new Uint8Array(values.buffer) }
    }),
  )
  await saveCheckpoint(join(run.folder, 'checkpoints'), run.state.step, entries, run.state, {
    keep: run.config.checkpoint.keep,
  })
}

/** Goes on from the newest whole checkpoint, or starts anew when there is none. */
export async function restoreRun(run: Run): Promise<void> {
  const checkpoint = await loadNewestCheckpoint(join(run.folder, 'checkpoints'))
  if (!checkpoint) {
    run.tell({ kind: 'message', text: 'no checkpoint to resume from: starting anew' })
    return
  }
  for (const { file, reason } of checkpoint.skipped)
    run.tell({ kind: 'warning', text: `checkpoint ${file} was passed over: ${reason}` })
  const state: RunState = readState(checkpoint.state, run.state.fingerprint, checkpoint.path)
  for (const [name, t] of resumable(run)) t.write(checkpoint.tensors.float32(name))
  refreshHalf(run.weights.optimizer)
  Object.assign(run.state, state)
  run.tell({ kind: 'message', text: `resumed at step ${state.step} from ${checkpoint.path}` })
}

/** Writes the model as it is now to the run folder. */
export async function saveModel(run: Run): Promise<void> {
  await saveModelFolder(
    run.folder,
    run.model,
    run.tokenizer,
    run.generation,
    await readValues(run.model, run.weights),
    modelCard(run),
    version,
  )
}
