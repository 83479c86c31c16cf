/**
 * The device that op and model tests run on: environment CAPTIONEER_TEST_DEVICE, 'cpu' unless given. 'cuda' is a GPU, or
 * with CAPTIONEER_VARIANT=emulated the CUDA kernels on the CPU.
 */
import { openDevice } from '../ts/native.js'
import type { FloatDtype } from '../ts/ops/define-op.js'
import { type Dtype, sizeOf, type Tensor, tensor } from '../ts/tensor.js'

const name = process.env.CAPTIONEER_TEST_DEVICE ?? 'cpu'
if (name !== 'cpu' && name !== 'cuda')
  throw new Error(`CAPTIONEER_TEST_DEVICE: expected cpu or cuda, received ${name}`)

export const device = openDevice(name)

/** What it is compared with. */
export const cpu = openDevice('cpu')

/** The dtypes that it computes in. */
export const dtypes: readonly FloatDtype[] =
  device.name === 'cuda' ? ['float32', 'bfloat16'] : ['float32']

const [float, bits] = (() => {
  const one = new Float32Array(1)
  return [one, new Uint32Array(one.buffer)]
})()

/** Bits of the nearest bfloat16, ties to even. */
function halfBits(value: number): number {
  float[0] = value
  const whole = bits[0] ?? 0
  if (Number.isNaN(value)) return 0x7fc0
  return (whole + 0x7fff + ((whole >>> 16) & 1)) >>> 16
}

/** The nearest number that a dtype holds. */
export function rounded(value: number, dtype: Dtype): number {
  if (dtype === 'float32') return Math.fround(value)
  if (dtype !== 'bfloat16') return value
  bits[0] = (halfBits(value) << 16) >>> 0
  return float[0] ?? Number.NaN
}

/** A tensor of numbers that `dtype` holds. */
export function upload(
  values: ArrayLike<number>,
  shape: readonly number[],
  dtype: Dtype,
  to = device,
): Tensor {
  if (values.length !== sizeOf(shape)) throw new Error(`${values.length} numbers for ${shape}`)
  if (dtype === 'bfloat16') return tensor(Uint16Array.from(values, halfBits), shape, to)
  return tensor(Array.from(values), shape, to, dtype)
}
