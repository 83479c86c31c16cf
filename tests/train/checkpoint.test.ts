import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { CheckpointError } from '../../ts/errors.js'
import { writeSafetensors } from '../../ts/files/safetensors.js'
import { createRandom } from '../../ts/random.js'
import { listCheckpoints, loadNewestCheckpoint, saveCheckpoint } from '../../ts/train/checkpoint.js'
import { bound, temporaryFolder } from '../files/temporary-folder.js'

const name = (step: number) => `step-${String(step).padStart(8, '0')}.safetensors`

function save(folder: string, step: number, keep = 3) {
  const data = new Uint8Array([step % 256, 1, 2, 3])
  const tensors = [{ name: 'encoder.weight', dtype: 'U8', shape: [4], data } as const]
  return saveCheckpoint(folder, step, tensors, { step, best: [0.1, null], seed: '7' }, { keep })
}

test('a checkpoint comes back as saved', async (t) => {
  const folder = join(await temporaryFolder(t), 'run', 'checkpoints')
  t.deepEqual(await listCheckpoints(folder), [])
  t.is(await loadNewestCheckpoint(folder), undefined)
  const path = join(folder, 'step-00001234.safetensors')
  t.deepEqual(await save(folder, 1234), { step: 1234, path })
  const found = await loadNewestCheckpoint(folder)
  t.like(found, {
    step: 1234,
    path,
    state: { step: 1234, best: [0.1, null], seed: '7' },
    skipped: [],
  })
  t.deepEqual([...(found?.tensors.bytes('encoder.weight') ?? [])], [1234 % 256, 1, 2, 3])
})

test('the last K stay, and files of other names are not touched', async (t) => {
  const folder = await temporaryFolder(t)
  const others = ['step-1.safetensors', 'notes.txt', 'step-00000001.safetensors.bak']
  for (const other of others) await writeFile(join(folder, other), '')
  for (const step of [0, 5, 99_999_999, 100_000_000]) await save(folder, step, 2)
  const kept = [100_000_000, 99_999_999]
  t.deepEqual((await readdir(folder)).sort(), [...others, ...kept.map(name)].sort())
  t.deepEqual(
    (await listCheckpoints(folder)).map(({ step }) => step),
    kept,
  )
})

test('a run that resumed before a damaged checkpoint keeps its own', async (t) => {
  const folder = await temporaryFolder(t)
  for (const step of [10, 20]) await save(folder, step)
  await writeFile(join(folder, name(30)), 'torn')
  t.is((await loadNewestCheckpoint(folder))?.step, 20)
  await save(folder, 25, 1)
  t.deepEqual((await readdir(folder)).sort(), [name(25), name(30)])
  await save(folder, 30, 1)
  t.is((await loadNewestCheckpoint(folder))?.step, 30)
})

test('damaged newest checkpoints are passed over and told', async (t) => {
  const folder = await temporaryFolder(t)
  for (const step of [1, 2, 3]) await save(folder, step)
  const bytes = await readFile(join(folder, name(3)))
  const random = createRandom(5)
  for (let i = 0; i < 200; i++) {
    const damaged = Buffer.from(bytes)
    const at = Math.floor(random() * bytes.length)
    damaged.writeUInt8(bytes.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at)
    const torn = bytes.subarray(0, at)
    await writeFile(join(folder, name(3)), i % 2 === 0 ? damaged : torn)
    const found = await loadNewestCheckpoint(folder)
    if (found?.step !== 2) t.fail(`byte ${at} of ${bytes.length}: step ${found?.step}`)
    if (found?.skipped[0]?.file !== join(folder, name(3))) t.fail('the damaged file is not told')
  }
  await rename(join(folder, name(2)), join(folder, name(4)))
  const found = await loadNewestCheckpoint(folder)
  t.is(found?.step, 1)
  t.is(
    found?.skipped[0]?.reason,
    `reading ${join(folder, name(4))}: it holds step 2. Give the file its name back`,
  )
})

test('when all are damaged, or of another kind, it says so and does not start over', async (t) => {
  const folder = await temporaryFolder(t)
  await writeSafetensors(join(folder, name(1)), [])
  await writeFile(join(folder, name(2)), '')
  const error = await t.throwsAsync(loadNewestCheckpoint(folder), { instanceOf: CheckpointError })
  t.is(
    error?.message,
    `resuming from ${folder}: none of 2 checkpoints can be used. ` +
      'Restore one from a backup, or start a new run in another folder.\n' +
      `  reading ${join(folder, name(2))}: expected at least 8 bytes, received 0. ` +
      'The file is damaged or not a safetensors file: fetch or save it again\n' +
      `  reading ${join(folder, name(1))}: not a checkpoint of this version of captioneer ` +
      '(captioneer checkpoint, layout 2)',
  )
})

test('a state that JSON cannot hold is refused, not changed', async (t) => {
  const folder = await temporaryFolder(t)
  const state = { best: { loss: Number.POSITIVE_INFINITY } }
  const error = await t.throwsAsync(saveCheckpoint(folder, 1, [], state, { keep: 1 }))
  t.regex(error?.message ?? '', /^saving a checkpoint: state "loss" is Infinity, which JSON cannot/)
  t.deepEqual(await readdir(folder), [])
})

test.serial('no permission: a clear error, and the last good checkpoint stays', async (t) => {
  const folder = join(await temporaryFolder(t), 'checkpoints')
  await mkdir(folder)
  await save(folder, 1)
  await chmod(folder, 0o555)
  await bound(async () => {
    await t.throwsAsync(save(folder, 2, 1), {
      instanceOf: CheckpointError,
      message: `saving ${join(folder, name(2))}: permission denied. Give this user access, or choose another folder (EACCES)`,
    })
  })
  await chmod(folder, 0o755)
  t.is((await loadNewestCheckpoint(folder))?.step, 1)
})

test('a folder in the way of the folder, and one in the way of a file, are named', async (t) => {
  const folder = await temporaryFolder(t)
  await writeFile(join(folder, 'checkpoints'), '')
  await t.throwsAsync(save(join(folder, 'checkpoints'), 1), {
    instanceOf: CheckpointError,
    message: /^saving checkpoint .*step-00000001\.safetensors: .*\((EEXIST|ENOTDIR)\)$/,
  })
  await rm(join(folder, 'checkpoints'))
  await mkdir(join(folder, name(1)))
  await t.throwsAsync(save(folder, 1), { instanceOf: CheckpointError, message: /\(EISDIR\)$/ })
  t.deepEqual(await readdir(folder), [name(1)], 'no temporary file is left')
})
