/** What a pickle of PyTorch may hold, as plain data. Nothing in it has behaviour. */
import type { FileDtype } from '../safetensors-header.js'

/** A pickled value. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | { readonly kind: 'list' | 'tuple' | 'set'; readonly items: PickleValue[] }
  | PickledDict
  | PickledClass
  | StorageValue
  | TensorValue

/** A dict or OrderedDict. */
export interface PickledDict {
  readonly kind: 'dict'
  readonly entries: Map<PickleValue, PickleValue>
}

/** A name of Python's that is allowed, `torch.FloatStorage`; classes.ts says what it stands for. */
export interface PickledClass {
  readonly kind: 'class'
  readonly name: string
}

/** A run of numbers that the file holds elsewhere, under `key`. */
export interface StorageValue {
  readonly kind: 'storage'
  readonly key: string
  readonly dtype: FileDtype
  /** Length, in elements. */
  readonly elements: number
}

/** A view of a storage; offset and strides are in elements. */
export interface TensorValue {
  readonly kind: 'tensor'
  readonly storage: StorageValue
  readonly offset: number
  readonly shape: readonly number[]
  readonly stride: readonly number[]
}

/** The kind of a value, as messages name it. */
export function kindOf(value: PickleValue | undefined): string {
  if (value === null) return 'None'
  if (typeof value !== 'object') return typeof value
  return value instanceof Uint8Array ? 'bytes' : value.kind
}

/** The items of a tuple; undefined for anything else. */
export function tupleItems(value: PickleValue | undefined): readonly PickleValue[] | undefined {
  const isTuple = typeof value === 'object' && value !== null && 'kind' in value
  return isTuple && value.kind === 'tuple' ? value.items : undefined
}
