/**
 * Reverse-mode differentiation. While a tape is open every op whose inputs depend on a watched tensor is recorded
 * with just the tensors that its gradient reads; `gradients` then runs the records backward.
 * Ops and their gradients are in ops/; this file knows none of them.
 */
import { ArgumentError, internalError, shapeText } from './errors.js'
import { adopt, empty, scope, type Tensor, tensor } from './tensor.js'

/** One recorded op. `backward` frees nothing; the tape owns `saved`. */
export interface TapeNode {
  readonly name: string
  readonly out: Tensor
  readonly inputs: Readonly<Record<string, Tensor | undefined>>
  readonly saved: readonly Tensor[]
  readonly backward: (
    grad: Tensor,
    needs: (input: string) => boolean,
  ) => Readonly<Record<string, Tensor | undefined>>
}

export class Tape {
  readonly #nodes: TapeNode[] = []
  readonly #tracked = new Set<Tensor>()

  /** @param watched tensors with respect to which gradients will be asked */
  constructor(watched: Iterable<Tensor>) {
    for (const t of watched) this.#tracked.add(t)
  }

  /** Whether a gradient can flow into `t`. */
  tracks(t: Tensor | undefined): boolean {
    return t !== undefined && this.#tracked.has(t)
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
   * @param loss [1]
   */
  gradients(loss: Tensor, params: readonly Tensor[]): (Tensor | undefined)[] {
    if (loss.size !== 1)
      throw new ArgumentError(
        `gradients: the loss must be one number, received ${shapeText(loss.shape)}`,
      )
    const wanted = new Set(params)
    // The map owns one reference to each gradient in it, so that each is freed as soon as it is used up.
    const grads = new Map<Tensor, Tensor>()
    scope(() => void grads.set(loss, tensor([1], loss.shape, loss.device).retain()))
    for (let node = this.#nodes.pop(); node; node = this.#nodes.pop()) {
      const grad = grads.get(node.out)
      if (grad) {
        this.#propagate(node, grad, grads)
        if (!wanted.has(node.out)) take(grads, node.out)
      }
      release(node)
    }
    const result = params.map((p) => {
      const grad = grads.get(p)
      return grad && adopt(grad.retain())
    })
    for (const grad of grads.values()) grad.release()
    this.#tracked.clear()
    return result
  }

  /** Frees what is recorded. Needed only when `gradients` was not called. */
  clear(): void {
    for (const node of this.#nodes) release(node)
    this.#nodes.length = 0
    this.#tracked.clear()
  }

  #propagate(node: TapeNode, grad: Tensor, grads: Map<Tensor, Tensor>): void {
    scope(() => {
      const produced = node.backward(grad, (name) => this.tracks(node.inputs[name]))
      for (const [name, contribution] of Object.entries(produced)) {
        const input = node.inputs[name]
        if (!contribution || !input || !this.tracks(input)) continue
        if (contribution.size !== input.size)
          throw internalError(
            `${node.name}: gradient of ${name} is ${shapeText(contribution.shape)}, ` +
              `the input is ${shapeText(input.shape)}`,
          )
        // A contribution may be the very gradient of another tensor (a residual's), so none is ever added into.
        const before = grads.get(input)
        const total = before ? sum(before, contribution) : contribution
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

function sum(a: Tensor, b: Tensor): Tensor {
  const out = empty(a.shape, a.dtype, a.device)
  a.device.kernels.add(out, a, b)
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
 * Runs `body` while recording, then gives its result with the gradients' function. Synchronous.
 *
 * @example
 * const [loss, grads] = differentiate(params, () => model(params, batch))
 */
export function differentiate(
  params: readonly Tensor[],
  body: () => Tensor,
): [loss: Tensor, grads: (Tensor | undefined)[]] {
  const tape = new Tape(params)
  const outer = current
  try {
    current = tape
    const loss = body()
    current = outer
    return [loss, tape.gradients(loss, params)]
  } finally {
    current = outer
    tape.clear()
  }
}
