/** Safetensors files byte by byte, for headers that our writer would never write. */

/** The length of the header, the header as given, the data. */
export function rawSafetensors(header: string | Uint8Array, data: Uint8Array): Buffer {
  const text = Buffer.from(header)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.byteLength))
  return Buffer.concat([length, text, data])
}

/** The bytes of a typed array, a view. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
