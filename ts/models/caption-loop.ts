/**
 * Captions of batches of images, one batch after another, with one model. Batches of a shape that comes again are
 * captured, which is caption-graphs.ts. Loading images is the caller's, decoding decoding/decoding.ts.
 */
import {
  type DecodingOptions,
  decodeStretches,
  type FoundCaption,
  finishDecoding,
  foundCaptions,
  queueStretch,
} from '../decoding/decoding.js'
import type { GenerationConfig } from '../decoding/generation.js'
import { type CaptionOptions, decodingOptions } from '../decoding/options.js'
import { beginSample, sampleSeeds } from '../decoding/sample.js'
import { beginSearch } from '../decoding/search.js'
import { captureWanted, createGraphCache } from '../graph-cache.js'
import type { Device } from '../native.js'
import { type DeviceInputs, type HostTensor, shapesOf, upload } from '../step-cache.js'
import { scope, type Tensor, tensorsIn, unscoped } from '../tensor.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { type Advance, discard, type Inputs, record, replay, type State } from './caption-graphs.js'
import type { ImageInputs, LoadedImages } from './inference.js'
import type { CaptionModel, ModelParams } from './model.js'
import { type CaptionAttention, captionAttention } from './word-attention.js'

export interface CaptionText {
  readonly text: string
  /** Log-probability divided by length^lengthPenalty, nats. */
  readonly score: number
  readonly tokens: readonly number[]
  /** Where in the image the model looked for each token, when that was asked for. */
  readonly attention?: CaptionAttention
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
  /**
   * Captions of one image: after each position the best caption that still grows, at last all of them, best first.
   * Nothing is captured. Leaving early frees everything.
   * @throws ArgumentError for options out of range
   */
  stream(
    image: LoadedImages,
    options: CaptionOptions,
  ): AsyncGenerator<Pick<CaptionText, 'text' | 'tokens'>, CaptionText[]>
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

// Each keeps the memory that one batch needs.
const mostGraphs = 4

/** @param captures false: every batch runs eagerly */
export function createCaptionLoop(parts: LoopParts, captures = captureWanted()): CaptionLoop {
  const { model, params, tokenizer, device, generation, memory } = parts
  const { decoder } = model
  const longest = model.config.decoder.maxTokens
  const graphs = createGraphCache({ most: mostGraphs, free: discard, captures, shared: false })

  const prepare = (
    { count, inputs: images }: LoadedImages,
    options: CaptionOptions,
    places: readonly number[] = [...Array(count).keys()],
  ) => {
    const chosen = decodingOptions(options, generation, longest, tokenizer)
    const { sampling, beams, prefix, seed, ...common } = chosen
    const { maxTokens, numCaptions, rules } = common
    const settings: DecodingOptions = { ...common, images: count, device }
    const inputs: Inputs = {
      ...images,
      ...(sampling && { seeds: seedsOf(seed, places, numCaptions) }),
      ...(prefix.length > 0 && { forced: forcedOf(prefix, count) }),
    }
    const begin = (on: DeviceInputs<Inputs>): State =>
      scope(() => {
        const ruled = { ...settings, rules: { ...rules, forced: on.forced } }
        const decoding =
          sampling && on.seeds
            ? beginSample({ ...ruled, ...sampling }, on.seeds)
            : beginSearch({ ...ruled, beams })
        const { rowsPerImage } = decoding
        return {
          decoder: decoder.start(params.decoder, memory(on, count), rowsPerImage, maxTokens),
          decoding,
        }
      })
    const advance: Advance = (state, from, positions) =>
      queueStretch(
        (tokens, position, ancestors) =>
          decoder.step(params.decoder, state.decoder, tokens, position, ancestors),
        state.decoding,
        settings,
        from,
        positions,
      )
    const key = `${JSON.stringify({ ...common, sampling, beams, count })} ${shapesOf(inputs)}`
    return { settings, inputs, begin, advance, key }
  }

  const toTexts = async (
    found: FoundCaption[][],
    { count, inputs }: LoadedImages,
    { attention = false }: CaptionOptions,
  ): Promise<CaptionText[][]> => {
    const texts = found.map((captions) =>
      captions.map(({ tokens, score }) => ({ text: tokenizer.decode(tokens), score, tokens })),
    )
    if (!attention) return texts
    const maps = await captionAttention(
      parts,
      () => memory(upload(inputs, device), count),
      found.map((captions) => captions.map(({ tokens }) => tokens)),
    )
    return texts.map((captions, image) =>
      captions.map((caption, i) => {
        const attention = maps[image]?.[i]
        return attention ? { ...caption, attention } : caption
      }),
    )
  }

  const captions: CaptionLoop['captions'] = async (images, options, places) => {
    const { settings, inputs, begin, advance, key } = prepare(images, options, places)
    const graph = graphs.get(key, () => record(device, inputs, begin))
    const found =
      graph && !graph.busy
        ? await replay(graph, inputs, settings, advance)
        : await run(() => begin(upload(inputs, device)), settings, advance)
    return await toTexts(found, images, options)
  }

  const stream: CaptionLoop['stream'] = async function* (image, options) {
    const { settings, inputs, begin, advance } = prepare(image, options)
    const state = unscoped(() => begin(upload(inputs, device)))
    try {
      const queue = (from: number) => advance(state, from, 1)
      let [positions, shown] = [0, '']
      for await (const { decoded, ended } of decodeStretches(state.decoding, settings, queue, 1)) {
        positions = decoded
        const [captions = []] = await state.decoding.results(decoded)
        // A search that has found its caption still holds the next best, which would have gone on.
        const growing = ended ? undefined : captions.find(({ finished }) => !finished)
        const { tokens = [] } = growing ?? captions[0] ?? {}
        // A token may be a part of a character.
        const text = tokenizer.decode(tokens).replace(/\uFFFD+$/, '')
        if (text !== shown) yield { text, tokens }
        shown = text
      }
      const found = await foundCaptions(state.decoding, settings, positions)
      const [best = []] = await toTexts(found, image, options)
      return best
    } finally {
      for (const t of tensorsIn(state)) t.release()
    }
  }
  return { captions, stream, dispose: () => graphs.clear() }
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

function seedsOf(seed: number, places: readonly number[], samples: number): HostTensor {
  const data = sampleSeeds(seed, places, samples)
  return { data, shape: [data.length / 2, 2] }
}

function forcedOf(prefix: readonly number[], images: number): HostTensor {
  const data = Int32Array.from(Array.from({ length: images }, () => prefix).flat())
  return { data, shape: [images, prefix.length] }
}
