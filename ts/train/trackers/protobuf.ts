/** Protocol buffers, the writing half and only what TensorBoard's events need: a message is a list of fields. */

/** One field of a message, encoded. */
export type Field = Uint8Array

const varintType = 0
const fixed64Type = 1
const bytesType = 2
const fixed32Type = 5

/** A whole number from 0 to 2^53 - 1 as int32, int64 or enum. */
export function intField(number: number, value: number): Field {
  return Buffer.concat([key(number, varintType), varint(value)])
}

export function doubleField(number: number, value: number): Field {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(value)
  return Buffer.concat([key(number, fixed64Type), bytes])
}

export function floatField(number: number, value: number): Field {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return Buffer.concat([key(number, fixed32Type), bytes])
}

export function bytesField(number: number, value: Uint8Array | string): Field {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  return Buffer.concat([key(number, bytesType), varint(bytes.length), bytes])
}

/** A message within a message. */
export function messageField(number: number, ...fields: readonly Field[]): Field {
  return bytesField(number, Buffer.concat(fields))
}

function key(number: number, type: number): Uint8Array {
  return varint(number * 8 + type)
}

/** Seven bits a byte, the lowest first; the top bit says that more follow. */
function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  while (rest >= 128) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  return Uint8Array.of(...bytes, rest)
}
