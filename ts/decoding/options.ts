/** The options of decoding that a user gives, checked, with the model's defaults filled in. */
import { ArgumentError, argumentError } from '../errors.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { whole } from './decoding.js'
import { decodingRanges, type GenerationConfig } from './generation.js'
import { prefixTokens } from './prefix.js'
import type { LogitRules } from './rules.js'
import { lowestTemperature, type Sampling } from './sample.js'

/**
 * What is left out is as the model's generation.json says, then as told here. With one of `temperature`, `topK`, `topP`,
 * `typicalP` and `tau` captions are sampled: each token is drawn by its probability. Otherwise, and with `beam`, the most
 * probable captions are searched for.
 */
export interface CaptionOptions {
  /** 1 to 64: captions kept at each step; 1 is greedy. 3 when left out. */
  readonly beam?: number | undefined
  /** Most tokens of a caption, the end token included; at most what the model was built for. 30 when left out. */
  readonly maxTokens?: number | undefined
  /** Fewest tokens before the end token, those of the prefix included; 1 when left out. */
  readonly minTokens?: number | undefined
  /** 0 to 10: power of the length that a caption's log-probability is divided by; larger prefers longer ones. */
  readonly lengthPenalty?: number | undefined
  /** Captions returned for each image, best first: at most `beam`, or so many independent samples, at most 64. */
  readonly numCaptions?: number | undefined
  /** 0 to 100: what logits are divided by before a token is drawn. 1 when left out, 0 is greedy. */
  readonly temperature?: number | undefined
  /** Draws from so many most probable tokens; all when left out. */
  readonly topK?: number | undefined
  /** Above 0, up to 1: draws from the fewest most probable tokens whose probability reaches it. */
  readonly topP?: number | undefined
  /**
   * Above 0, up to 1: of what topK and topP leave, draws from the fewest most typical tokens whose probability reaches it.
   * A token is typical whose -log probability is near the entropy. Source: Meister et al. 2022, arXiv:2202.00666.
   */
  readonly typicalP?: number | undefined
  /**
   * Above 0, up to 1: EIR's variant of it, a share of the vocabulary V instead of probability: draws from the
   * floor((V - 1) tau) + 1 most typical tokens. It does nothing where topK leaves fewer.
   */
  readonly tau?: number | undefined
  /** Above 0, up to 100: a positive logit of a word that is already there is divided by it, another multiplied; 1: no. */
  readonly repetitionPenalty?: number | undefined
  /** 1 to 512: how many tokens it looks back at; 64 when left out. */
  readonly repetitionWindow?: number | undefined
  /** 0 to 100: the logit of a word that is there n > 1 times loses it times (1 - 1 / n); 0: no. */
  readonly frequencyPenalty?: number | undefined
  /** 1 to 512: how many tokens it looks back at; 128 when left out. */
  readonly frequencyWindow?: number | undefined
  /** No sequence of so many tokens comes twice; 0: any may. */
  readonly noRepeatNgram?: number | undefined
  /** What captions begin with; it is part of the caption, costs no probability, and counts as length. */
  readonly prefix?: string | undefined
  /**
   * Of the draws, an integer from 0 to 2^53 - 1; 0 when left out. The same seed gives the same captions, whatever the
   * size of batches: each image's draws depend on it and on the image's place in the call. A search ignores it.
   */
  readonly seed?: number | undefined
  /** Whether each caption says where in the image the model looked for each token; false when left out. */
  readonly attention?: boolean | undefined
}

/** The options that make captions sampled. */
export const samplingNames = ['temperature', 'topK', 'topP', 'typicalP', 'tau'] as const

/** @throws ArgumentError naming the option, its range and what came */
export function decodingOptions(
  options: CaptionOptions,
  defaults: GenerationConfig,
  longest: number,
  tokenizer: Tokenizer,
) {
  for (const [name, range] of Object.entries(decodingRanges)) {
    const value = options[name as keyof typeof decodingRanges]
    if (value !== undefined && !range.safeParse(value).success)
      throw argumentError('caption', name, range.description ?? 'valid', value)
  }
  const isGiven = (name: keyof CaptionOptions) => options[name] !== undefined
  const draws =
    samplingNames.some(isGiven) ||
    (!isGiven('beam') && samplingNames.some((name) => defaults[name] !== undefined))
  const beams = options.beam ?? (draws ? 1 : defaults.beam)
  if (draws && beams > 1)
    throw new ArgumentError(
      `caption: beam ${beams} searches for the most probable captions, ${samplingNames.join(', ')} draw random ones. ` +
        'Leave out one or the other; numCaptions gives several samples',
    )
  const maxTokens = whole(
    'maxTokens',
    options.maxTokens ?? Math.min(defaults.maxTokens, longest),
    1,
    longest,
  )
  const most = draws ? 64 : beams
  const { bos, eos, pad, unk } = tokenizer
  return {
    sampling: draws ? samplingOf(options, defaults, tokenizer.vocabularySize) : undefined,
    beams,
    maxTokens,
    minTokens: whole(
      'minTokens',
      options.minTokens ?? Math.min(defaults.minTokens, maxTokens),
      1,
      maxTokens,
    ),
    numCaptions: whole(
      'numCaptions',
      options.numCaptions ?? Math.min(defaults.numCaptions ?? 1, most),
      1,
      most,
    ),
    lengthPenalty: options.lengthPenalty ?? defaults.lengthPenalty,
    rules: rulesOf(options, defaults),
    prefix: prefixTokens(options.prefix ?? defaults.prefix ?? '', tokenizer, maxTokens),
    seed: options.seed ?? defaults.seed ?? 0,
    bos,
    eos,
    forbidden: [pad, bos, unk],
  }
}

function samplingOf(options: CaptionOptions, defaults: GenerationConfig, vocabulary: number) {
  const temperature = options.temperature ?? defaults.temperature ?? 1
  const tau = options.tau ?? defaults.tau ?? 1
  const others = {
    topP: options.topP ?? defaults.topP ?? 1,
    typicalP: options.typicalP ?? defaults.typicalP ?? 1,
    mostTypical: tau < 1 ? Math.floor((vocabulary - 1) * tau) + 1 : 0,
  }
  const cold = temperature < lowestTemperature
  return {
    ...others,
    temperature: cold ? 1 : temperature,
    topK: cold ? 1 : (options.topK ?? defaults.topK ?? 0),
  } satisfies Sampling
}

function rulesOf(options: CaptionOptions, defaults: GenerationConfig) {
  return {
    repetitionPenalty: options.repetitionPenalty ?? defaults.repetitionPenalty ?? 1,
    repetitionWindow: options.repetitionWindow ?? defaults.repetitionWindow ?? 64,
    frequencyPenalty: options.frequencyPenalty ?? defaults.frequencyPenalty ?? 0,
    frequencyWindow: options.frequencyWindow ?? defaults.frequencyWindow ?? 128,
    noRepeatNgram: options.noRepeatNgram ?? defaults.noRepeatNgram ?? 0,
  } satisfies LogitRules
}
