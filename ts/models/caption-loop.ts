/**
 * Captions of batches of images, one batch after another, with one model. Batches of a shape that comes again are
 * captured: the encoder and the beginning of decoding as one graph, each stretch of positions as another, between
 * which the host looks whether all captions have ended. Loading images is the caller's, decoding decoding/decoding.ts.
 */
import { type Captured, capture } from '../capture.js'
import {
  type Decoding,
  type DecodingOptions,
  type FoundCaption,
  finishDecoding,
  queueStretch,
  stretch,
} from '../decoding/decoding.js'
import { type CaptionOptions, decodingOptions } from '../decoding/options.js'
import { beginSample, sampleSeeds } from '../decoding/sample.js'
import { beginSearch } from '../decoding/search.js'
import { captureWanted, createGraphCache } from '../graph-cache.js'
import type { Device } from '../native.js'
import {
  type DeviceInputs,
  type HostTensor,
  releaseInputs,
  shapesOf,
  upload,
  writeInputs,
} from '../step-cache.js'
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
   * @param places of the images in the request, from 0: what their samples depend on; in order when left out
   * @throws ArgumentError for options out of range
   */
  captions(
    images: LoadedImages,
    options: CaptionOptions,
    places?: readonly number[],
  ): Promise<CaptionText[][]>
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
  readonly decoding: Decoding
}

/** With the seeds of sampling; a search has none. */
type Inputs = ImageInputs & { readonly seeds?: HostTensor }

interface Graphs {
  readonly inputs: DeviceInputs<Inputs>
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

  const captions: CaptionLoop['captions'] = async ({ count, inputs: images }, options, places) => {
    const { sampling, beams, ...common } = decodingOptions(options, generation, longest, tokenizer)
    const { maxTokens, numCaptions } = common
    const settings = { ...common, images: count, device }
    const inputs: Inputs = sampling
      ? { ...images, seeds: seedsOf(options.seed, places ?? [...Array(count).keys()], numCaptions) }
      : images
    const begin = (on: DeviceInputs<Inputs>): State =>
      scope(() => {
        const decoding =
          sampling && on.seeds
            ? beginSample({ ...settings, ...sampling }, on.seeds)
            : beginSearch({ ...settings, beams })
        const { rowsPerImage } = decoding
        return {
          decoder: decoder.start(params.decoder, memory(on, count), rowsPerImage, maxTokens),
          decoding,
        }
      })
    const advance = (state: State, from: number) =>
      queueStretch(
        (tokens, position, ancestors) =>
          decoder.step(params.decoder, state.decoder, tokens, position, ancestors),
        state.decoding,
        settings,
        from,
      )
    const key = `${JSON.stringify({ ...common, sampling, beams, count })} ${shapesOf(inputs)}`
    const graph = graphs.get(key, () => record(device, inputs, begin))
    const found =
      graph && !graph.busy
        ? await replay(graph, inputs, settings, advance)
        : await run(() => begin(upload(inputs, device)), settings, advance)
    return found.map((best) => best.map((caption) => toText(caption, tokenizer)))
  }
  return { captions, dispose: () => graphs.clear() }
}

type Advance = (state: State, from: number) => void

/** Captures the part before the first position, which is the first to fill the memory that all parts share. */
function record(
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

async function replay(
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

async function run(
  begin: () => State,
  settings: DecodingOptions,
  advance: Advance,
): Promise<FoundCaption[][]> {
  const state = unscoped(begin)
  try {
    return await finishDecoding(state.decoding, settings, (from) => advance(state, from))
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

function seedsOf(seed = 0, places: readonly number[], samples: number): HostTensor {
  const data = sampleSeeds(seed, places, samples)
  return { data, shape: [data.length / 2, 2] }
}

function toText({ tokens, score }: FoundCaption, tokenizer: Tokenizer): CaptionText {
  return { text: tokenizer.decode(tokens), score, tokens }
}
