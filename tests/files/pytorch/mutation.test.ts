/** Damaged checkpoints never crash the reader: they are refused, or read within their bounds. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { CheckpointError } from '../../../ts/errors.js'
import { type PyTorchFile, readPyTorch } from '../../../ts/files/pytorch/checkpoint.js'
import { unpickle } from '../../../ts/files/pytorch/pickle.js'
import { packageRoot } from '../../../ts/native.js'
import { createRandom } from '../../../ts/random.js'
import { temporaryFolder } from '../temporary-folder.js'

const folder = join(packageRoot, 'tests/fixtures/pytorch')

/** Any one damage: bits, a run of bytes, a cut, something doubled or left out. */
function mutate(original: Buffer, random: () => number): Buffer {
  const below = (n: number) => Math.floor(random() * n)
  const bytes = Buffer.from(original)
  const at = below(bytes.length)
  const length = Math.min(1 + below(16), bytes.length - at)
  switch (below(6)) {
    case 0:
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << below(8)), at)
      return bytes
    case 1:
      for (let i = at; i < at + length; i++) bytes[i] = below(256)
      return bytes
    case 2:
      return bytes.subarray(0, at)
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
    case 4:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)])
    default:
      bytes.fill([0, 255, 127, 128][below(4)] ?? 0, at, at + length)
      return bytes
  }
}

async function readOrRefuse(path: string): Promise<PyTorchFile | undefined> {
  return readPyTorch(path).catch((error) => {
    if (error instanceof CheckpointError && error.message.startsWith(`reading ${path}: `))
      return undefined
    throw error
  })
}

for (const name of ['checkpoint.pth', 'deflated.pth', 'legacy.pth']) {
  test(`500 damaged copies of ${name}`, async (t) => {
    const path = join(await temporaryFolder(t), name)
    const original = await readFile(join(folder, name))
    const random = createRandom(4)
    let read = 0
    for (let i = 0; i < 500; i++) {
      await writeFile(path, mutate(original, random))
      const file = await readOrRefuse(path)
      if (file === undefined) continue
      read++
      for (const tensor of file.tensors.keys()) {
        if (!(file.float32(tensor).length <= original.length)) t.fail(`file ${i}: ${tensor}`)
      }
    }
    t.log(`${read} read, ${500 - read} refused`)
    t.true(read > 5 && read < 450, 'both outcomes occur')
  })
}

test('5000 damaged pickles', async (t) => {
  const zip = await readFile(join(folder, 'checkpoint.pth'))
  const start = zip.indexOf(Buffer.from([0x80, 2, 0x7d]))
  const pickle = zip.subarray(start, unpickle(zip, 'whole', start).end)
  const random = createRandom(5)
  let refused = 0
  for (let i = 0; i < 5000; i++) {
    try {
      unpickle(mutate(pickle, random), 'damaged')
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error
      refused++
    }
  }
  t.log(`${refused} refused`)
  t.true(refused > 1000 && refused < 5000)
})
