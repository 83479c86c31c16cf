/** TensorBoard event files: the frame and the messages by a reader of our own, and by TensorBoard where Python has it. */
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { maskedChecksum, tensorboardTracker } from '../../../ts/train/trackers/tensorboard.js'
import { temporaryFolder } from '../../files/temporary-folder.js'
import { sampleImage, stepRow, trackedRun, validationRow } from './rows.js'

type Message = Map<number, (number | Buffer)[]>

/** A protobuf message as lists of values by field number. */
function parseMessage(bytes: Buffer): Message {
  const fields: Message = new Map()
  let at = 0
  const varint = () => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? 0
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const key = varint()
    const take = (length: number) => {
      at += length
      return bytes.subarray(at - length, at)
    }
    const readers = new Map<number, () => number | Buffer>([
      [0, varint],
      [1, () => take(8).readDoubleLE()],
      [2, () => take(varint())],
      [5, () => take(4).readFloatLE()],
    ])
    const value = readers.get(key & 7)?.()
    if (value === undefined) throw new Error(`wire type ${key & 7}`)
    fields.set(key >> 3, [...(fields.get(key >> 3) ?? []), value])
  }
  return fields
}

const first = (message: Message, field: number) => message.get(field)?.[0]
const messages = (message: Message, field: number) =>
  (message.get(field) ?? []).map((bytes) => parseMessage(bytes as Buffer))

/** The events of all files of a folder, in their order; throws when a checksum is wrong. */
async function events(folder: string): Promise<Message[]> {
  const found: Message[] = []
  for (const name of (await readdir(folder)).sort()) {
    const bytes = await readFile(join(folder, name))
    for (let at = 0; at < bytes.length; ) {
      const length = Number(bytes.readBigUInt64LE(at))
      const data = bytes.subarray(at + 12, at + 12 + length)
      if (bytes.readUInt32LE(at + 8) !== maskedChecksum(bytes.subarray(at, at + 8)))
        throw new Error('length')
      if (bytes.readUInt32LE(at + 12 + length) !== maskedChecksum(data)) throw new Error('data')
      found.push(parseMessage(data))
      at += length + 16
    }
  }
  return found
}

async function writtenRun(folder: string) {
  const run = trackedRun(folder)
  const tracker = await tensorboardTracker(run)
  await tracker.text?.('config', 'preset: tiny\n')
  tracker.log(stepRow(1))
  tracker.log(stepRow(2, Number.NaN))
  tracker.log(validationRow(2))
  await tracker.image?.(await sampleImage(2))
  await tracker.image?.(await sampleImage(300, 'a cat'))
  await tracker.close('finished')
  return { run, place: join(folder, 'tensorboard') }
}

test('checksums are those of RFC 3720, masked', (t) => {
  const masked = (crc: number) =>
    Number((((BigInt(crc) >> 15n) | (BigInt(crc) << 17n)) & 0xffffffffn) + 0xa282ead8n) % 2 ** 32
  t.is(maskedChecksum(Buffer.from('123456789')), masked(0xe3069283))
  t.is(maskedChecksum(Buffer.alloc(32)), masked(0x8a9136aa))
  t.is(maskedChecksum(Buffer.alloc(32, 0xff)), masked(0x62a8ab43))
})

test('events hold the version, numbers, texts and each picture once', async (t) => {
  const folder = await temporaryFolder(t)
  const { run, place } = await writtenRun(folder)
  t.deepEqual(run.failures, [])
  const found = await events(place)
  t.is(String(first(found[0] as Message, 3)), 'brain.Event:2')
  const now = Date.now() / 1000
  for (const event of found) t.true(Math.abs(Number(first(event, 1)) - now) < 60)

  const values = found.flatMap((event) =>
    messages(event, 5).flatMap((summary) =>
      messages(summary, 1).map((value) => ({
        step: first(event, 2),
        tag: String(first(value, 1)),
        value,
      })),
    ),
  )
  const numbers = values.filter(({ value }) => value.has(2))
  const at = (step: number) =>
    Object.fromEntries(
      numbers.filter((one) => one.step === step).map(({ tag, value }) => [tag, first(value, 2)]),
    )
  t.deepEqual(at(1), {
    'train/epoch': 0,
    'train/loss': 5,
    'train/learningRate': Math.fround(1e-3),
    'train/gradientNorm': 0.5,
    'train/imagesPerSecond': 120,
    'train/captionsPerSecond': 600,
  })
  t.false('train/loss' in at(2), 'a loss that is not finite is left out')
  t.is(at(2)['validation/bleu4'], 0.125)

  const pictures = values.filter(({ tag }) => tag === 'pictures/dogs/one.jpg')
  t.is(pictures.length, 1)
  const [image] = messages(pictures[0]?.value as Message, 4)
  t.deepEqual(
    [1, 2, 3].map((field) => first(image as Message, field)),
    [4, 6, 3],
  )
  t.is((first(image as Message, 4) as Buffer).toString('latin1', 1, 4), 'PNG')
  const texts = values.filter(({ tag }) => tag === 'captions/dogs/one.jpg')
  t.deepEqual(
    texts.map(({ step }) => step),
    [2, 300],
  )
  const [tensor] = messages(texts[1]?.value as Message, 8)
  t.regex(String(first(tensor as Message, 8)), /^a cat/)
})

test('a resumed run adds a file that begins by replacing later steps', async (t) => {
  const folder = await temporaryFolder(t)
  const { place } = await writtenRun(folder)
  const tracker = await tensorboardTracker(trackedRun(folder, 1))
  tracker.log(stepRow(2))
  await tracker.close('finished')
  t.is((await readdir(place)).length, 2)
  const restart = (await events(place)).find((event) => event.has(7))
  t.is(first(restart as Message, 2), 2)
  t.is(first(messages(restart as Message, 7)[0] as Message, 1), 1)
})

test('TensorBoard itself reads the files', async (t) => {
  const python = process.env.CAPTIONEER_PYTHON ?? 'python3'
  const program = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
read = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0, "tensors": 0})
read.Reload()
loss = [[event.step, event.value] for event in read.Scalars("train/loss")]
images = [[event.step, event.width, event.height] for event in read.Images("pictures/dogs/one.jpg")]
texts = [event.tensor_proto.string_val[0].decode() for event in read.Tensors("captions/dogs/one.jpg")]
print(json.dumps({"loss": loss, "images": images, "texts": texts}))
`
  const run = promisify(execFile)
  try {
    await run(python, ['-c', 'import tensorboard'])
  } catch {
    t.log(`skipped: ${python} has no package tensorboard`)
    t.pass()
    return
  }
  const { place } = await writtenRun(await temporaryFolder(t))
  const { stdout } = await run(python, ['-c', program, place])
  const read = JSON.parse(stdout)
  t.deepEqual(read.loss, [[1, 5]])
  t.deepEqual(read.images, [[2, 6, 4]])
  t.is(read.texts.length, 2)
})
