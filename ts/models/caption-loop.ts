/**
 * Captions of batches of images, one batch after another, with one model. Batches of a shape that comes again are
 * captured: the encoder and the beginning of the search as one graph, each stretch of positions as another, between
 * which the host looks whether all captions have ended. Loading images is the caller's, the search decoding/search.ts.
 */
import { type Captured, capture } from '../capture.js'
import { type CaptionOptions, searchOptions } from '../decoding/options.js'
import {
  beginSearch,
  type FoundCaption,
  finishSearch,
  queueStretch,
  type SearchOptions,
  type SearchState,
  stretch,
} from '../decoding/search.js'
import { captureWanted, createGraphCache } from '../graph-cache.js'
import type { Device } from '../native.js'
import { type DeviceInputs, releaseInputs, shapesOf, upload, writeInputs } from '../step-cache.js'
import { scope, type Tensor, tensorsIn, unscoped } from '../tensor.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import type { TransformerState } from './decoders/transformer.js'
import type { ImageInputs, LoadedImages } from './inference.js'
import type { CaptionModel, ModelParams } from './model.js'
import type { GenerationConfig } from './model-folder.js'

export interface CaptionText {
  readonly text: string
  /** Log-probability divided by length^lengthPenalty, nats. */
  readonly score: number
  readonly tokens: readonly number[]
}

export interface CaptionLoop {
  /**
   * Captions of each image, best first. Calls may overlap in time.
   * @throws ArgumentError for options out of range
   */
  captions(images: LoadedImages, options: CaptionOptions): Promise<CaptionText[][]>
  /** Frees the graphs; those at work when they are done. */
  dispose(): void
}

/** What a loop captions with; the weights must stay until it is disposed. */
export interface LoopParts {
  readonly model: CaptionModel
  readonly params: ModelParams
  readonly tokenizer: Tokenizer
  readonly device: Device
  /** Options where a call gives none. */
  readonly generation: GenerationConfig
  /** Image memory [B S, C] of B = `count` images; queues kernels only, so that it can be captured. */
  readonly memory: (inputs: DeviceInputs<ImageInputs>, count: number) => Tensor
}

/** A batch on its way through the positions. */
interface State {
  readonly decoder: TransformerState
  readonly search: SearchState
}

interface Graphs {
  readonly inputs: DeviceInputs<ImageInputs>
  readonly begin: Captured<State>
  readonly stretches: Captured<void>[]
  busy: boolean
  unwanted: boolean
}

// Each keeps the memory that one batch needs.
const mostGraphs = 4

/** @param captures false: every batch runs eagerly */
export function createCaptionLoop(parts: LoopParts, captures = captureWanted()): CaptionLoop {
  const { model, params, tokenizer, device, generation, memory } = parts
  const { decoder } = model
  const longest = model.config.decoder.maxTokens
  const graphs = createGraphCache({ most: mostGraphs, free: discard, captures, shared: false })

  const captions: CaptionLoop['captions'] = async ({ count, inputs }, options) => {
    const settings = searchOptions(options, generation, longest, tokenizer)
    const search = { ...settings, images: count, device }
    const { beams, maxTokens } = settings
    const begin = (on: DeviceInputs<ImageInputs>): State =>
      scope(() => ({
        decoder: decoder.start(params.decoder, memory(on, count), beams, maxTokens),
        search: beginSearch(search),
      }))
    const advance = (state: State, from: number) =>
      queueStretch(
        (tokens, position, ancestors) =>
          decoder.step(params.decoder, state.decoder, tokens, position, ancestors),
        state.search,
        search,
        from,
      )
    const key = `${JSON.stringify({ ...settings, count })} ${shapesOf(inputs)}`
    const graph = graphs.get(key, () => record(device, inputs, begin))
    const found =
      graph && !graph.busy
        ? await replay(graph, inputs, search, advance)
        : await run(() => begin(upload(inputs, device)), search, advance)
    return found.map((best) => best.map((caption) => toText(caption, tokenizer)))
  }
  return { captions, dispose: () => graphs.clear() }
}

type Advance = (state: State, from: number) => void

/** Captures the part before the first position, which is the first to fill the memory that all parts share. */
function record(
  device: Device,
  host: ImageInputs,
  begin: (inputs: DeviceInputs<ImageInputs>) => State,
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

async function replay(
  graph: Graphs,
  host: ImageInputs,
  search: SearchOptions,
  advance: Advance,
): Promise<FoundCaption[][]> {
  const { inputs, begin, stretches } = graph
  graph.busy = true
  try {
    writeInputs(inputs, host)
    begin.replay()
    return await finishSearch(begin.outputs.search, search, (from) => {
      const place = from / stretch
      stretches[place] ??= capture(search.device, () => advance(begin.outputs, from), {
        shareMemoryWith: begin,
      })
      stretches[place].replay()
    })
  } finally {
    graph.busy = false
    if (graph.unwanted) discard(graph)
  }
}

async function run(
  begin: () => State,
  search: SearchOptions,
  advance: Advance,
): Promise<FoundCaption[][]> {
  const state = unscoped(begin)
  try {
    return await finishSearch(state.search, search, (from) => advance(state, from))
  } finally {
    for (const t of tensorsIn(state)) t.release()
  }
}

function discard(graph: Graphs): void {
  graph.unwanted = true
  if (graph.busy) return
  for (const part of [...graph.stretches, graph.begin]) part.dispose()
  releaseInputs(graph.inputs)
}

function toText({ tokens, score }: FoundCaption, tokenizer: Tokenizer): CaptionText {
  return { text: tokenizer.decode(tokens), score, tokens }
}
