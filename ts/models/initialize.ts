/** The starting values of parameters, from a seed: each parameter draws from a stream of its own name. */
import { createRandom } from '../random.js'
import { sizeOf } from '../tensor.js'
import type { ParamSpec } from './params.js'

/** Values of one parameter; the same name, spec and seed give the same values. */
export function initialValues(name: string, spec: ParamSpec, seed: number): Float32Array {
  const values = new Float32Array(sizeOf(spec.shape))
  const { init } = spec
  if (init.kind === 'constant') return values.fill(init.value)
  if (init.kind === 'grid') return gridValues(values, spec.shape[1] ?? 1)
  const random = createRandom((hash(name) ^ Math.imul(seed + 1, 0x9e3779b1)) >>> 0)
  if (init.kind === 'uniform') return values.map(() => init.bound * (2 * random() - 1))
  // Normal numbers by Box and Muller.
  return values.map(
    () => init.std * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  )
}

/**
 * Positions of a square map: the first half of the channels tells the row, the second the column, each by sines and
 * cosines from half a wave across the map to a wave of two cells. So near cells begin alike, and above, below, left
 * and right are one linear map away; with random positions the direction of "left of" was not learned in two minutes.
 */
function gridValues(values: Float32Array, channels: number): Float32Array {
  const side = Math.round(Math.sqrt(values.length / channels))
  const half = Math.ceil(channels / 2)
  const waves = Math.ceil(half / 2)
  return values.map((_, i) => {
    const cell = Math.floor(i / channels)
    const channel = i % channels
    const place = channel < half ? Math.floor(cell / side) : cell % side
    const wave = Math.floor((channel % half) / 2)
    const frequency = (Math.PI / side) * side ** (wave / Math.max(1, waves - 1))
    const angle = frequency * (place + 0.5)
    return channel % 2 === 0 ? Math.sin(angle) : Math.cos(angle)
  })
}

/** FNV-1a over UTF-16 units. */
function hash(text: string): number {
  let h = 2166136261
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619)
  return h >>> 0
}
