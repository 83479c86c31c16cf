/**
 * What an op is: a record with a shape rule, a forward, what its gradient needs, and the gradient. `defineOp` turns
 * it into a typed function that checks, allocates, runs, and records on the active tape. The list of all ops is in
 * registry.ts.
 */
import { DtypeError, ShapeError, shapeText } from '../errors.js'
import type { Kernels } from '../kernels.js'
import type { Device } from '../native.js'
import { activeTape } from '../tape.js'
import { type Dtype, empty, scope, type Tensor } from '../tensor.js'

/** 'bias?' is an optional input named bias. */
type Name<I extends string> = I extends `${infer N}?` ? N : I
type RequiredNames<I extends string> = I extends `${string}?` ? never : I
type OptionalNames<I extends string> = I extends `${infer N}?` ? N : never

export type OpInputs<I extends string> = { readonly [K in RequiredNames<I>]: Tensor } & {
  readonly [K in OptionalNames<I>]?: Tensor | undefined
}

/**
 * What an input is to an op. Activations and parameters of one call share one dtype, float32 or bfloat16. The gradient
 * of an activation has that dtype, every other gradient is float32: it is a sum over the whole batch.
 */
export type InputKind =
  | 'activation'
  /** Learned, of two axes and more. */
  | 'parameter'
  /** Vectors: biases, weights of norms, statistics. */
  | 'float32'
  | 'int32'
  | 'uint8'

/** What activations and parameters may be. */
export type FloatDtype = 'float32' | 'bfloat16'

/** Sizes of an output; the dtype is that of the activations unless said otherwise. */
export interface Output {
  readonly shape: readonly number[]
  readonly dtype?: Dtype | undefined
}

type Extras<X extends string> = { readonly [K in X]?: Tensor | undefined }
type Saved<I extends string, X extends string, S extends string> = {
  readonly [K in S & RequiredNames<I>]: Tensor
} & { readonly [K in S & OptionalNames<I>]?: Tensor | undefined } & {
  readonly [K in S & (X | 'out')]: Tensor
}

/** Handed to `backward`. */
export interface Backward<I extends string, O, SV> {
  readonly k: Kernels
  readonly device: Device
  /** d loss / d out, shaped like out. */
  readonly grad: Tensor
  readonly saved: SV
  readonly options: O
  /** The forward's inputs' shapes, by name. */
  readonly shapes: Readonly<Record<Name<I>, readonly number[]>>
  /** An uninitialised tensor shaped like the input, or undefined when no gradient flows into that input. */
  readonly gradOf: (input: Name<I>) => Tensor | undefined
}

export interface OpSpec<I extends string, X extends string, S extends string, O> {
  readonly name: string
  /** Names of the tensor inputs, in order; a trailing '?' marks an optional one. */
  readonly inputs: readonly I[]
  /** Inputs that are not activations. */
  readonly kinds?: Partial<Record<Name<I>, InputKind>>
  /** Checks the inputs' shapes and gives the output's. @throws ShapeError, ArgumentError */
  readonly shape: (inputs: OpInputs<I>, options: O) => Output
  /** Further outputs, allocated when a gradient will be asked (or `withExtras` is called). */
  readonly extras?: (inputs: OpInputs<I>, options: O, out: Output) => Record<X, Output>
  readonly forward: (
    k: Kernels,
    out: Tensor,
    inputs: OpInputs<I>,
    options: O,
    extras: Extras<X>,
  ) => void
  /** All that the tape keeps alive for `backward`. */
  readonly saves?: readonly S[]
  /** Gradients keyed by input. An op without it is for inference only. */
  readonly backward?: (
    args: Backward<I, O, Saved<I, X, S>>,
  ) => Partial<Record<Name<I>, Tensor | undefined>>
}

type Call<I extends string, O, R> =
  Record<never, never> extends O
    ? (inputs: OpInputs<I>, options?: O) => R
    : (inputs: OpInputs<I>, options: O) => R

export type Op<I extends string, X extends string, O> = Call<I, O, Tensor> & {
  readonly spec: AnyOpSpec
  /** Runs the op with its further outputs; never recorded. */
  readonly withExtras: Call<I, O, { readonly out: Tensor } & Readonly<Record<X, Tensor>>>
}

/** A spec whose type parameters are forgotten: what the registry and the tests walk over. */
export interface AnyOpSpec {
  readonly name: string
  readonly inputs: readonly string[]
  readonly kinds: Readonly<Partial<Record<string, InputKind>>>
  readonly differentiable: boolean
}

/** Makes an op of its record. */
export function defineOp<
  const I extends string,
  X extends string = never,
  // A constraint that names X would fix X before `extras` is seen. A name that is none of an input, an extra or
  // 'out' is missing from `saved` all the same.
  const S extends string = never,
  O extends object = Record<never, never>,
>(spec: OpSpec<I, X, S, O>): Op<I, X, O> {
  const names = spec.inputs.map((input) => input.replace('?', '') as Name<I>)

  const run = (inputs: OpInputs<I>, options: O, wantExtras: boolean) => {
    const byName = inputs as unknown as Readonly<Record<string, Tensor | undefined>>
    const { device, dtype } = checkInputs(spec, byName)
    const output = spec.shape(inputs, options)
    expectDtypeOf(spec.name, 'the output', output.dtype ?? dtype, device)
    const tape = activeTape()
    const recorded =
      spec.backward !== undefined && tape !== undefined && names.some((n) => tape.tracks(byName[n]))
    return scope((current) => {
      const out = empty(output.shape, output.dtype ?? dtype, device)
      const extras: Record<string, Tensor> = {}
      if ((recorded || wantExtras) && spec.extras)
        for (const [name, extra] of Object.entries<Output>(spec.extras(inputs, options, output)))
          extras[name] = empty(extra.shape, extra.dtype ?? dtype, device)
      spec.forward(device.kernels, out, inputs, options, extras as Extras<X>)
      if (recorded && !wantExtras) record(out, extras, byName, options, device, dtype)
      return wantExtras ? { out, ...extras } : current.keep(out)
    })
  }

  const record = (
    out: Tensor,
    extras: Readonly<Record<string, Tensor>>,
    inputs: Readonly<Record<string, Tensor | undefined>>,
    options: O,
    device: Device,
    dtype: FloatDtype,
  ) => {
    const available: Readonly<Record<string, Tensor | undefined>> = { ...inputs, ...extras, out }
    const saved = Object.fromEntries((spec.saves ?? []).map((name) => [name, available[name]]))
    const shapes = Object.fromEntries(names.map((name) => [name, inputs[name]?.shape ?? []]))
    activeTape()?.record({
      name: spec.name,
      out,
      inputs,
      saved: Object.values(saved).filter((t) => t !== undefined),
      backward: (grad, needs, place) =>
        spec.backward?.({
          k: device.kernels,
          device,
          grad,
          saved: saved as unknown as Saved<I, X, S>,
          options,
          shapes: shapes as Record<Name<I>, readonly number[]>,
          gradOf: (name) => {
            if (!needs(name)) return undefined
            const own = kindOf(spec, name) === 'activation' ? dtype : 'float32'
            return place(name, own) ?? empty(shapes[name] ?? [], own, device)
          },
        }) ?? {},
    })
  }

  const plain = (inputs: OpInputs<I>, options: O = {} as O) => run(inputs, options, false)
  const withExtras = (inputs: OpInputs<I>, options: O = {} as O) => run(inputs, options, true)
  const facts = {
    name: spec.name,
    inputs: spec.inputs as readonly string[],
    kinds: (spec.kinds ?? {}) as Readonly<Partial<Record<string, InputKind>>>,
    differentiable: spec.backward !== undefined,
  }
  return Object.assign(plain, { spec: facts, withExtras }) as unknown as Op<I, X, O>
}

interface Kinds {
  readonly kinds?: Readonly<Partial<Record<string, InputKind>>>
}

function kindOf({ kinds }: Kinds, name: string): InputKind {
  return kinds?.[name] ?? 'activation'
}

/** The device of all inputs, and the dtype of activations and parameters (float32 when there is none). */
function checkInputs(
  spec: Kinds & { readonly name: string; readonly inputs: readonly string[] },
  inputs: Readonly<Record<string, Tensor | undefined>>,
): { device: Device; dtype: FloatDtype } {
  let device: Device | undefined
  let first: { readonly name: string; readonly dtype: FloatDtype } | undefined
  for (const input of spec.inputs) {
    const name = input.replace('?', '')
    const t = inputs[name]
    if (!t) {
      if (input.endsWith('?')) continue
      throw new ShapeError(`${spec.name}: input ${name} is missing`)
    }
    const kind = kindOf(spec, name)
    if (kind === 'activation' || kind === 'parameter') {
      const dtype = floatDtype(spec.name, name, t)
      first ??= { name, dtype }
      if (dtype !== first.dtype)
        throw new DtypeError(
          `${spec.name}: ${name} is ${dtype} and ${first.name} is ${first.dtype}; activations and weights of one ` +
            'call must be all float32 or all bfloat16',
        )
    } else if (t.dtype !== kind)
      throw new DtypeError(`${spec.name}: ${name} must be ${kind}, received ${t.dtype}`)
    if (device && t.device !== device)
      throw new ShapeError(
        `${spec.name}: ${name} is on ${t.device.name}, the inputs before it on ${device.name}`,
      )
    device = t.device
  }
  if (!device) throw new ShapeError(`${spec.name}: no inputs`)
  return { device, dtype: first?.dtype ?? 'float32' }
}

function floatDtype(op: string, name: string, { dtype, device }: Tensor): FloatDtype {
  if (dtype !== 'float32' && dtype !== 'bfloat16') {
    const expected = device.name === 'cpu' ? 'float32' : 'float32 or bfloat16'
    throw new DtypeError(`${op}: ${name} must be ${expected}, received ${dtype}`)
  }
  expectDtypeOf(op, name, dtype, device)
  return dtype
}

/** @throws DtypeError for bfloat16 on the CPU: it stores and converts it, but has no arithmetic of it */
function expectDtypeOf(op: string, name: string, dtype: Dtype, device: Device): void {
  if (dtype === 'bfloat16' && device.name === 'cpu')
    throw new DtypeError(
      `${op}: ${name} is bfloat16; the CPU computes in float32. Use precision "float32", or device "cuda"`,
    )
}

/** The sizes of `t`, which must have `rank` axes. */
export function axes(op: string, name: string, t: Tensor, rank: number): readonly number[] {
  if (t.shape.length !== rank)
    throw new ShapeError(`${op}: ${name} must have ${rank} axes, received ${shapeText(t.shape)}`)
  return t.shape
}

/** Throws unless `t` is absent or has exactly `shape`; `why` names what the shape follows from. */
export function expectShape(
  op: string,
  name: string,
  t: Tensor | undefined,
  shape: readonly number[],
  why: string,
): void {
  if (!t) return
  if (t.shape.length === shape.length && t.shape.every((size, i) => size === shape[i])) return
  throw new ShapeError(
    `${op}: ${name} is ${shapeText(t.shape)}; it must be ${shapeText(shape)} to fit ${why}`,
  )
}
