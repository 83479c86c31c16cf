/**
 * TensorBoard event files: each record is a protobuf message Event in TFRecord's frame.
 * Sources: tensorflow/core/util/event.proto, core/framework/summary.proto, core/lib/io/record_writer.h.
 */
import { appendFile, mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { fileError } from '../../files/system-error.js'
import {
  bytesField,
  doubleField,
  type Field,
  floatField,
  intField,
  messageField,
} from './protobuf.js'
import { metricsOf, type TrackedImage, type TrackedRun, type Tracker } from './tracker.js'

/** Longest time that a record stays in memory while others follow, ms. */
const FLUSH_AFTER = 1000
const SESSION_START = 1
const DATA_CLASS_TENSOR = 2
const STRING_TYPE = 7
const RGB = 3

let files = 0

/** Writes `folder`/tensorboard; `tensorboard --logdir` shows it while training. A resumed run adds a file to it. */
export async function tensorboardTracker({
  folder,
  startStep,
  fail,
}: TrackedRun): Promise<Tracker> {
  const place = join(folder, 'tensorboard')
  const seconds = Math.floor(Date.now() / 1000)
  const name = `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${files++}`
  const path = join(place, name)
  await mkdir(place, { recursive: true })

  let pending: Uint8Array[] = []
  let flushed = 0
  let writing = Promise.resolve()
  const flush = () => {
    const records = Buffer.concat(pending)
    pending = []
    flushed = performance.now()
    writing = writing
      .then(() => appendFile(path, records))
      .catch((error: unknown) => fail(String(fileError(`saving ${path}`, error))))
    return writing
  }
  const add = (step: number, ...what: readonly Field[]) => {
    const time = doubleField(1, Date.now() / 1000)
    pending.push(frame(Buffer.concat([time, intField(2, step), ...what])))
    if (performance.now() - flushed > FLUSH_AFTER) void flush()
  }

  add(0, bytesField(3, 'brain.Event:2'))
  // Says that steps from here on replace those of an earlier file.
  if (startStep > 0) add(startStep + 1, messageField(7, intField(1, SESSION_START)))
  const pictured = new Set<string>()
  return {
    name: 'TensorBoard',
    log: (row) => {
      const values = Object.entries(metricsOf(row)).map(([tag, value]) =>
        messageField(1, bytesField(1, tag), floatField(2, value)),
      )
      if (values.length > 0) add(row.step, messageField(5, ...values))
    },
    text: (tag, text) => add(0, messageField(5, textValue(tag, text))),
    image: async (image) => {
      const { step, name, caption, references } = image
      // The picture stays the same; its caption does not.
      if (!pictured.has(name)) add(step, messageField(5, await imageValue(image)))
      pictured.add(name)
      const lines = [caption, ...references.map((reference) => `    (${reference})`)]
      add(step, messageField(5, textValue(`captions/${name}`, lines.join('  \n'))))
    },
    close: flush,
  }
}

/** Length, its checksum, the bytes, their checksum. */
function frame(bytes: Uint8Array): Uint8Array {
  const record = Buffer.alloc(bytes.length + 16)
  record.writeBigUInt64LE(BigInt(bytes.length), 0)
  record.writeUInt32LE(maskedChecksum(record.subarray(0, 8)), 8)
  record.set(bytes, 12)
  record.writeUInt32LE(maskedChecksum(bytes), bytes.length + 12)
  return record
}

function textValue(tag: string, text: string): Field {
  const plugin = messageField(1, bytesField(1, 'text'))
  return messageField(
    1,
    bytesField(1, tag),
    messageField(9, plugin, intField(4, DATA_CLASS_TENSOR)),
    messageField(8, intField(1, STRING_TYPE), messageField(2), bytesField(8, text)),
  )
}

async function imageValue({ name, png }: TrackedImage): Promise<Field> {
  const { width, height } = await sharp(png).metadata()
  const size = [intField(1, height), intField(2, width), intField(3, RGB)]
  return messageField(
    1,
    bytesField(1, `pictures/${name}`),
    messageField(4, ...size, bytesField(4, png)),
  )
}

// CRC-32C, the Castagnoli polynomial with its bits reversed.
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value
})

/** TFRecord's checksum: CRC-32C, turned by 15 bits and moved, as a checksum of checksums would be weak. */
export function maskedChecksum(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] as number)
  crc = ~crc >>> 0
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}
