/**
 * A captured batch of captioning: the encoder and the beginning of decoding as one graph, each stretch of positions as
 * another, between which the host looks whether all captions have ended. Which batches are captured is caption-loop.ts's.
 */
import { type Captured, capture } from '../capture.js'
import {
  type Decoding,
  type DecodingOptions,
  type FoundCaption,
  finishDecoding,
  stretch,
} from '../decoding/decoding.js'
import type { Device } from '../native.js'
import {
  type DeviceInputs,
  type HostTensor,
  releaseInputs,
  upload,
  writeInputs,
} from '../step-cache.js'
import { unscoped } from '../tensor.js'
import type { ImageInputs } from './inference.js'

/** A batch on its way through the positions. */
export interface State {
  readonly decoder: unknown
  readonly decoding: Decoding
}

/** With the seeds of sampling, which a search has none of, and the tokens that captions begin with. */
export type Inputs = ImageInputs & { readonly seeds?: HostTensor; readonly forced?: HostTensor }

export interface Graphs {
  readonly inputs: DeviceInputs<Inputs>
  readonly begin: Captured<State>
  readonly stretches: Captured<void>[]
  busy: boolean
  unwanted: boolean
}

/** Queues the positions that begin at `from`, a stretch of them unless told. */
export type Advance = (state: State, from: number, positions?: number) => void

/** Captures the part before the first position, which is the first to fill the memory that all parts share. */
export function record(
  device: Device,
  host: Inputs,
  begin: (inputs: DeviceInputs<Inputs>) => State,
): Graphs {
  const inputs = unscoped(() => upload(host, device))
  try {
    const captured = capture(device, () => begin(inputs))
    return { inputs, begin: captured, stretches: [], busy: false, unwanted: false }
  } catch (error) {
    releaseInputs(inputs)
    throw error
  }
}

/** Captions of the inputs; graphs that are missing are captured on the way. */
export async function replay(
  graph: Graphs,
  host: Inputs,
  settings: DecodingOptions,
  advance: Advance,
): Promise<FoundCaption[][]> {
  const { inputs, begin, stretches } = graph
  graph.busy = true
  try {
    writeInputs(inputs, host)
    begin.replay()
    return await finishDecoding(begin.outputs.decoding, settings, (from) => {
      const place = from / stretch
      stretches[place] ??= capture(settings.device, () => advance(begin.outputs, from), {
        shareMemoryWith: begin,
      })
      stretches[place].replay()
    })
  } finally {
    graph.busy = false
    if (graph.unwanted) discard(graph)
  }
}

/** Frees the graphs; those at work when they are done. */
export function discard(graph: Graphs): void {
  graph.unwanted = true
  if (graph.busy) return
  for (const part of [...graph.stretches, graph.begin]) part.dispose()
  releaseInputs(graph.inputs)
}
