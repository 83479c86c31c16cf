/** Floating-point bytes of files, little-endian, to float32. Integers are left to their users. */
import type { FileDtype } from './safetensors-header.js'

/**
 * Values as float32: F64 is rounded to the nearest, F16 and BF16 are exact.
 *
 * @returns  a view for aligned F32, else a new array; undefined when the dtype is not one of the four
 */
export function toFloat32(dtype: FileDtype, bytes: Uint8Array): Float32Array | undefined {
  if (dtype === 'F32') {
    const { buffer, byteOffset, byteLength } = aligned(bytes, 4)
    return new Float32Array(buffer, byteOffset, byteLength / 4)
  }
  if (dtype === 'F64') {
    const { buffer, byteOffset, byteLength } = aligned(bytes, 8)
    return Float32Array.from(new Float64Array(buffer, byteOffset, byteLength / 8))
  }
  if (dtype !== 'F16' && dtype !== 'BF16') return undefined
  const { buffer, byteOffset, byteLength } = aligned(bytes, 2)
  const halves = new Uint16Array(buffer, byteOffset, byteLength / 2)
  const widen = dtype === 'BF16' ? (half: number) => half << 16 : float16Bits
  return new Float32Array(Uint32Array.from(halves, widen).buffer)
}

// IEEE 754 binary16 (1 sign, 5 exponent, 10 fraction bits) to the bits of binary32.
function float16Bits(half: number): number {
  const sign = (half & 0x8000) << 16
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13)
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  if (fraction === 0) return sign
  const shift = Math.clz32(fraction) - 21
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)
}

function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
}
