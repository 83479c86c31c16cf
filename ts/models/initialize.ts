/** The starting values of parameters, from a seed: each parameter draws from a stream of its own name. */
import { createRandom } from '../random.js'
import { sizeOf } from '../tensor.js'
import type { ParamSpec } from './params.js'

/** Values of one parameter; the same name, spec and seed give the same values. */
export function initialValues(name: string, spec: ParamSpec, seed: number): Float32Array {
  const values = new Float32Array(sizeOf(spec.shape))
  const { init } = spec
  if (init.kind === 'constant') return values.fill(init.value)
  const random = createRandom((hash(name) ^ Math.imul(seed + 1, 0x9e3779b1)) >>> 0)
  if (init.kind === 'uniform') return values.map(() => init.bound * (2 * random() - 1))
  // Normal numbers by Box and Muller.
  return values.map(
    () => init.std * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  )
}

/** FNV-1a over UTF-16 units. */
function hash(text: string): number {
  let h = 2166136261
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619)
  return h >>> 0
}
