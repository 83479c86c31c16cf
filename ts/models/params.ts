/**
 * Learned tensors as nested plain objects. A model first says which parameters it has (`ParamSpec`s, without memory);
 * `materialize` puts tensors in their places. A parameter's name is its path, as in the published model.
 */
import { sizeOf, Tensor } from '../tensor.js'

/** How a parameter starts. */
export type Init =
  | { readonly kind: 'normal'; readonly std: number }
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'constant'; readonly value: number }
  /** Sines and cosines of row and column: [cells of a square map, channels]. */
  | { readonly kind: 'grid' }

export interface ParamSpec {
  readonly shape: readonly number[]
  readonly init: Init
  /** Running statistics are saved with the model and not trained. */
  readonly role: 'parameter' | 'statistic'
  /** Whether weight decay applies: matrices and convolutions, not biases, norms, embeddings or positions. */
  readonly decay: boolean
  /** A convolution's kernel, [O, R, S, C / groups]; files hold it as [O, C / groups, R, S] (stored.ts). */
  readonly kernel?: boolean
}

export type ParamTree = { readonly [key: string]: ParamTree | ParamSpec } | readonly ParamTree[]

/** The same tree with tensors in place of the specs. */
export type ParamsOf<S> = S extends ParamSpec ? Tensor : { readonly [K in keyof S]: ParamsOf<S[K]> }

export function param(shape: readonly number[], init: Init, decay = shape.length > 1): ParamSpec {
  return { shape, init, role: 'parameter', decay }
}

export function statistic(shape: readonly number[], value: number): ParamSpec {
  return { shape, init: { kind: 'constant', value }, role: 'statistic', decay: false }
}

/** Every spec with its name (`layers.0.norm1.weight`), in order. */
export function* namedSpecs(tree: unknown, path = ''): Generator<[name: string, spec: ParamSpec]> {
  if (isSpec(tree)) yield [path, tree]
  else
    for (const [key, child] of Object.entries(tree as object))
      yield* namedSpecs(child, path ? `${path}.${key}` : key)
}

/** Every tensor of a materialized tree with its name, in order. */
export function* namedTensors(tree: unknown, path = ''): Generator<[name: string, tensor: Tensor]> {
  if (tree instanceof Tensor) yield [path, tree]
  else
    for (const [key, child] of Object.entries(tree as object))
      yield* namedTensors(child, path ? `${path}.${key}` : key)
}

/** Puts `tensorOf(name, spec)` in the place of every spec. */
export function materialize<S>(
  tree: S,
  tensorOf: (name: string, spec: ParamSpec) => Tensor,
  path = '',
): ParamsOf<S> {
  if (isSpec(tree)) return tensorOf(path, tree) as ParamsOf<S>
  const place = ([key, child]: [string, unknown]) =>
    [key, materialize(child, tensorOf, path ? `${path}.${key}` : key)] as const
  const entries = Object.entries(tree as object).map(place)
  const result = Array.isArray(tree)
    ? entries.map(([, child]) => child)
    : Object.fromEntries(entries)
  return result as ParamsOf<S>
}

/** Learned numbers of a tree; running statistics do not count. */
export function countParameters(tree: unknown): number {
  let count = 0
  for (const [, spec] of namedSpecs(tree))
    if (spec.role === 'parameter') count += sizeOf(spec.shape)
  return count
}

function isSpec(tree: unknown): tree is ParamSpec {
  return typeof tree === 'object' && tree !== null && 'role' in tree && 'init' in tree
}
