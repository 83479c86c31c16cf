/** Finds the state dict in what a checkpoint holds: `{ state_dict: { ... }, epoch: 3 }`, or the whole of it. */
import { nearest } from '../../errors.js'
import { refused } from './refusal.js'
import type { PickledDict, PickleValue, TensorValue } from './values.js'

type TensorsByName = Map<string, TensorValue>

/** Dicts within dicts that are looked into. */
const maxDepth = 32

/** Keys under which trainers keep weights; the first that is there is taken. */
const usualKeys = ['state_dict', 'model_state_dict', 'model_state', 'model', 'weights', 'net']

/**
 * The tensors of a state dict, those of dicts within it under `outer.inner`.
 *
 * @param key  which one, dotted: `state_dict`; undefined: the checkpoint itself when it holds tensors, else one of
 *   the usual keys, else the only dict of tensors there is
 * @throws CheckpointError naming the keys there are, when none or several fit
 */
export function stateDict(
  value: PickleValue,
  key: string | undefined,
  path: string,
): Map<string, TensorValue> {
  const found = dictsOfTensors(value)
  const keys = [...found.keys()].map((name) => JSON.stringify(name)).join(', ')
  const chosen = key ?? usualKey(found)
  const dict = chosen === undefined ? undefined : found.get(chosen)
  if (dict !== undefined) return dict
  if (found.size === 0) throw refused(path, 'it holds no dict of tensors')
  if (key === undefined)
    throw refused(
      path,
      `it holds several dicts of tensors, ${keys}`,
      'Say which one with --key KEY',
    )
  const near = nearest(key, [...found.keys()])
  const hint = near === undefined ? '' : `Did you mean ${JSON.stringify(near)}? `
  throw refused(path, `no dict of tensors at ${JSON.stringify(key)}`, `${hint}There are: ${keys}`)
}

function usualKey(found: ReadonlyMap<string, unknown>): string | undefined {
  if (found.has('')) return ''
  const usual = usualKeys.find((name) => found.has(name))
  return usual ?? (found.size === 1 ? [...found.keys()][0] : undefined)
}

/**
 * Dicts with tensors right in them, by where they stand; one inside another is part of the outer one. A dict that is
 * there twice counts once, so that the walk ends on any structure.
 */
function dictsOfTensors(root: PickleValue): Map<string, TensorsByName> {
  const found = new Map<string, TensorsByName>()
  const seen = new Set<PickledDict>()
  const collect = (dict: PickledDict, place: string, depth: number, into: TensorsByName) => {
    seen.add(dict)
    for (const [name, inner] of named(dict, place)) {
      if (isTensor(inner)) into.set(name, inner)
      else if (isDict(inner) && !seen.has(inner) && depth < maxDepth)
        collect(inner, name, depth + 1, into)
    }
    return into
  }
  const visit = (dict: PickledDict, place: string, depth: number) => {
    seen.add(dict)
    if ([...dict.entries.values()].some(isTensor)) {
      found.set(place, collect(dict, '', depth, new Map()))
      return
    }
    for (const [name, inner] of named(dict, place))
      if (isDict(inner) && !seen.has(inner) && depth < maxDepth) visit(inner, name, depth + 1)
  }
  if (isDict(root)) visit(root, '', 0)
  return found
}

/** The entries of a dict by where they stand; keys that are no text are left out. */
function* named(dict: PickledDict, place: string): Generator<[name: string, value: PickleValue]> {
  for (const [name, value] of dict.entries)
    if (typeof name === 'string') yield [place === '' ? name : `${place}.${name}`, value]
}

function isDict(value: PickleValue): value is PickledDict {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'dict'
}

function isTensor(value: PickleValue): value is TensorValue {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'tensor'
}
