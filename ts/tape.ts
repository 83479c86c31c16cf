/**
 * Reverse-mode differentiation. While a tape is open every op whose inputs depend on a watched tensor is recorded
 * with just the tensors that its gradient reads; `gradients` then runs the records backward.
 * Ops and their gradients are in ops/; this file knows none of them.
 */
import { ArgumentError, internalError, shapeText } from './errors.js'
import { type Part, wholesOf } from './tape-parts.js'
import { adopt, type Dtype, empty, scope, type Tensor, tensor } from './tensor.js'

/**
 * One recorded op. `backward` frees nothing; the tape owns `saved`. `place` gives the tensor into which the gradient of
 * an input is wanted, if it is wanted in a certain one and this is its first part.
 */
export interface TapeNode {
  readonly name: string
  readonly out: Tensor
  readonly inputs: Readonly<Record<string, Tensor | undefined>>
  readonly saved: readonly Tensor[]
  readonly backward: (
    grad: Tensor,
    needs: (input: string) => boolean,
    place: (input: string, dtype: Dtype) => Tensor | undefined,
  ) => Readonly<Record<string, Tensor | undefined>>
}

export class Tape {
  readonly #nodes: TapeNode[] = []
  readonly #tracked = new Set<Tensor>()
  readonly #watched: ReadonlySet<Tensor>
  readonly #parts: Part[] = []

  /** @param watched tensors with respect to which gradients will be asked */
  constructor(watched: Iterable<Tensor>) {
    this.#watched = new Set(watched)
    for (const t of this.#watched) this.#tracked.add(t)
  }

  /** Whether a gradient can flow into `t`. */
  tracks(t: Tensor | undefined): boolean {
    return t !== undefined && this.#tracked.has(t)
  }

  /**
   * Tracks a contiguous view of a watched tensor: what flows into it is that part of the watched tensor's gradient.
   * @param start element of `whole` at which `part` begins
   */
  trackPart(whole: Tensor, part: Tensor, start: number): void {
    if (!this.tracks(whole)) return
    if (!this.#watched.has(whole))
      throw internalError('tape: only a watched tensor has parts; take a slice of this one')
    this.#parts.push({ whole, part, start })
    this.#tracked.add(part)
  }

  /** @internal called by defineOp */
  record(node: TapeNode): void {
    this.#nodes.push(node)
    this.#tracked.add(node.out)
    node.out.retain()
    for (const t of node.saved) t.retain()
  }

  /**
   * d loss / d p for each p of `params`, in their order; undefined where the loss does not depend on p.
   * Frees what the tape holds, so it can be asked once. Gradients belong to the caller's scope.
   * @param loss [1] float32
   * @param into where gradients are wanted, in the order of `params`: float32 tensors, which are then the result. Most are
   *   written there in the first place. One stays as it was where the loss does not depend on the parameter.
   */
  gradients(
    loss: Tensor,
    params: readonly Tensor[],
    into: readonly (Tensor | undefined)[] = [],
  ): (Tensor | undefined)[] {
    if (loss.size !== 1 || loss.dtype !== 'float32')
      throw new ArgumentError(
        `gradients: the loss must be one float32 number, received ${shapeText(loss.shape)} ${loss.dtype}`,
      )
    const wanted = new Set(params)
    const places = new Map<Tensor, Tensor>()
    for (const [i, p] of params.entries()) if (into[i]) places.set(p, into[i])
    // The map owns one reference to each gradient in it, so that each is freed as soon as it is used up.
    const grads = new Map<Tensor, Tensor>()
    scope(() => void grads.set(loss, tensor([1], loss.shape, loss.device).retain()))
    const wholes = wholesOf(this.#parts, places)
    for (let node = this.#nodes.pop(); node; node = this.#nodes.pop()) {
      const grad = grads.get(node.out)
      if (grad) {
        this.#propagate(node, grad, grads, places)
        if (!wanted.has(node.out)) take(grads, node.out)
      }
      release(node)
    }
    for (const whole of wholes) whole.join(grads)
    const result = params.map((p, i) => {
      const grad = grads.get(p)
      const place = into[i]
      if (!grad) return undefined
      if (place && place !== grad) place.device.kernels.copy(place, grad)
      return adopt((place ?? grad).retain())
    })
    for (const grad of grads.values()) grad.release()
    for (const whole of wholes) whole.release()
    this.#parts.length = 0
    this.#tracked.clear()
    return result
  }

  /** Frees what is recorded. Needed only when `gradients` was not called. */
  clear(): void {
    for (const node of this.#nodes) release(node)
    this.#nodes.length = 0
    this.#parts.length = 0
    this.#tracked.clear()
  }

  #propagate(
    node: TapeNode,
    grad: Tensor,
    grads: Map<Tensor, Tensor>,
    places: Map<Tensor, Tensor>,
  ): void {
    const given = new Set<Tensor>()
    const place = (name: string, dtype: Dtype) => {
      const input = node.inputs[name]
      const target = input && !grads.has(input) ? places.get(input) : undefined
      if (!input || target?.dtype !== dtype || given.has(target)) return undefined
      given.add(target)
      return target
    }
    scope(() => {
      const produced = node.backward(grad, (name) => this.tracks(node.inputs[name]), place)
      for (const [name, contribution] of Object.entries(produced)) {
        const input = node.inputs[name]
        if (!contribution || !input || !this.tracks(input)) continue
        if (contribution.size !== input.size)
          throw internalError(
            `${node.name}: gradient of ${name} is ${shapeText(contribution.shape)}, ` +
              `the input is ${shapeText(input.shape)}`,
          )
        const before = grads.get(input)
        const total = before ? sum(before, contribution, places.get(input)) : contribution
        take(grads, input)
        grads.set(input, total.retain())
      }
      return undefined
    })
  }
}

function take(grads: Map<Tensor, Tensor>, key: Tensor): void {
  grads.get(key)?.release()
  grads.delete(key)
}

/** a + b; in a itself where that is `own`, a place for this gradient alone. */
function sum(a: Tensor, b: Tensor, own: Tensor | undefined): Tensor {
  const { kernels } = a.device
  if (a.dtype !== b.dtype)
    throw internalError(`gradients: a ${a.dtype} and a ${b.dtype} one of the same tensor`)
  if (a === own) {
    kernels.accumulate(a, b)
    return a
  }
  // A contribution may be the very gradient of another tensor (a residual's), so none is added into.
  const out = empty(a.shape, a.dtype, a.device)
  kernels.add(out, a, b)
  return out
}

function release(node: TapeNode): void {
  node.out.release()
  for (const t of node.saved) t.release()
}

let current: Tape | undefined

/** The tape that records at this moment. */
export function activeTape(): Tape | undefined {
  return current
}

/**
 * Runs `body` while recording, then gives its result with the gradients. Synchronous.
 *
 * @param into where gradients are wanted, as Tape.gradients takes it
 * @example
 * const [loss, grads] = differentiate(params, () => model(params, batch))
 */
export function differentiate(
  params: readonly Tensor[],
  body: () => Tensor,
  into: readonly (Tensor | undefined)[] = [],
): [loss: Tensor, grads: (Tensor | undefined)[]] {
  const tape = new Tape(params)
  const outer = current
  try {
    current = tape
    const loss = body()
    current = outer
    return [loss, tape.gradients(loss, params, into)]
  } finally {
    current = outer
    tape.clear()
  }
}
