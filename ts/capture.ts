/**
 * A step recorded once and replayed without JavaScript in between: a CUDA graph on a GPU, a list of kernel calls on
 * the CPU. Which steps are worth it is step-cache.ts's.
 */
import { ArgumentError } from './errors.js'
import type { Device } from './native.js'
import { tensorsIn, unscoped } from './tensor.js'

/** A recorded step. Free it with `dispose()` or `using`. */
export interface Captured<T> {
  /** What the step returned. Its tensors hold the results of the last replay; before the first, nothing. */
  readonly outputs: T
  /** Queues the step once more, on what its inputs hold then. @throws DisposedError */
  replay(): void
  /** Frees the graph, its memory and its outputs, except those that were retained. */
  dispose(): void
  [Symbol.dispose](): void
  /** @internal the native handle */
  readonly graph: number
}

export interface CaptureOptions {
  /**
   * A graph whose memory for intermediate results this one uses, too. A replay of either may then overwrite what the
   * one captured later had computed: its outputs are valid until the other's next replay.
   */
  readonly shareMemoryWith?: Captured<unknown> | undefined
}

/**
 * Calls `step` once and records its kernels, without running them. Rules for the step:
 *
 * - It is synchronous, and makes the same kernel calls whatever its inputs hold: shapes and options are those of the
 *   recording.
 * - What changes from replay to replay comes from tensors made outside, written before the replay.
 * - Inside, a tensor made of host values (`tensor(...)`) is a constant: written once, so the step must not change it.
 *   Nothing is written, read or waited for.
 * - Tensors from outside that it uses, parameters too, are kept alive by the graph and used at their addresses.
 *
 * The first error of a replay rejects the next read, as any kernel's does.
 * @throws ArgumentError for a step that awaits, writes, reads, or captures; OutOfMemoryError; what the step throws
 *
 * @example
 * using captured = capture(device, () => linear({ x, weight }))
 * x.write(values)
 * captured.replay()
 * const y = await captured.outputs.readFloats()
 */
export function capture<T>(
  device: Device,
  step: () => T,
  { shareMemoryWith }: CaptureOptions = {},
): Captured<T> {
  const { native } = device
  native.beginCapture(shareMemoryWith?.graph ?? 0)
  let outputs: T | undefined
  try {
    outputs = unscoped(step)
    if (outputs instanceof Promise)
      throw new ArgumentError('capture: the step must be synchronous; await outside of it')
    return captured(device, outputs, native.endCapture())
  } catch (error) {
    native.abortCapture()
    release(outputs)
    throw error
  }
}

function captured<T>({ native }: Device, outputs: T, graph: number): Captured<T> {
  let disposed = false
  const dispose = () => {
    if (disposed) return
    disposed = true
    native.freeGraph(graph)
    release(outputs)
  }
  return { outputs, replay: () => native.replay(graph), dispose, [Symbol.dispose]: dispose, graph }
}

function release(outputs: unknown): void {
  for (const t of tensorsIn(outputs)) t.release()
}
