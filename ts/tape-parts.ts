/**
 * Gradients of tensors that are used in parts (the packed projections of attention): the parts' gradients lie side by side
 * in the whole one, and ops write them there. The tape says which parts there are.
 */
import { empty, scope, type Tensor, view } from './tensor.js'

/** A contiguous view of a tensor, from an element on, that ops took in its stead. */
export interface Part {
  readonly whole: Tensor
  readonly part: Tensor
  readonly start: number
}

interface Whole {
  /** Makes the whole gradient that of `grads` once the parts' are there. */
  readonly join: (grads: Map<Tensor, Tensor>) => void
  readonly release: () => void
}

/**
 * Makes room for the gradient of each tensor that has parts.
 * @param places where gradients are wanted: gets a place for each part, and loses those of the wholes
 */
export function wholesOf(parts: readonly Part[], places: Map<Tensor, Tensor>): Whole[] {
  const tensors = new Set(parts.map(({ whole }) => whole))
  return [...tensors].map((whole) =>
    wholeOf(
      whole,
      parts.filter((part) => part.whole === whole),
      places,
    ),
  )
}

function wholeOf(whole: Tensor, unordered: readonly Part[], places: Map<Tensor, Tensor>): Whole {
  const { kernels } = whole.device
  const parts = [...unordered].sort((a, b) => a.start - b.start)
  const end = (i: number) => (parts[i]?.start ?? 0) + (parts[i]?.part.size ?? 0)
  const apart = parts.every(({ start }, i) => i === 0 || start >= end(i - 1))
  const covered = apart && parts.reduce((sum, { part }) => sum + part.size, 0) === whole.size
  const gradient = scope(() =>
    (places.get(whole) ?? empty(whole.shape, 'float32', whole.device)).retain(),
  )
  places.delete(whole)
  if (!covered) kernels.fill(gradient, 0)
  const views = parts.map(({ part, start }) =>
    scope(() => view(gradient, part.shape, start).retain()),
  )
  if (apart) for (const [i, { part }] of parts.entries()) places.set(part, views[i] as Tensor)
  return {
    join: (grads) => {
      const direct = grads.get(whole)
      if (!direct && !parts.some(({ part }) => grads.has(part))) return
      for (const [i, { part }] of parts.entries()) {
        const [place, grad] = [views[i] as Tensor, grads.get(part)]
        if (!grad && apart) kernels.fill(place, 0)
        else if (grad && apart && grad !== place) kernels.copy(place, grad)
        else if (grad && !apart) kernels.accumulate(place, grad)
      }
      if (direct) kernels.accumulate(gradient, direct)
      direct?.release()
      grads.set(whole, gradient.retain())
    },
    release: () => {
      for (const t of [gradient, ...views]) t.release()
    },
  }
}
