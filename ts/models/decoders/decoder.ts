/** What every caption decoder offers. Which one a config names is build.ts; how words are chosen is in decoding/. */
import type { Tensor } from '../../tensor.js'
import type { Mode } from '../mode.js'
import type { ParamsOf, ParamTree } from '../params.js'

/** Captions packed one after another; N tokens in R captions, captions of one image side by side. */
export interface PackedCaptions {
  /** int32 [N]: begin token and words. */
  readonly tokens: Tensor
  /** int32 [N]: place of each token in its caption. */
  readonly positions: Tensor
  /** int32 [N]: words and end token; what `tokens` should predict. */
  readonly targets: Tensor
  /** float32 [N]: what the loss of each token is multiplied by; all 1 when absent. */
  readonly weights?: Tensor | undefined
  /** int32 [R + 1]: where each caption begins. */
  readonly offsets: Tensor
  /** Tokens of the longest caption. */
  readonly longest: number
  /** Captions of each image. */
  readonly captionsPerImage: number
  /** [1]: number of tokens that the loss is divided by. */
  readonly denominator: Tensor
}

/** What a decoder is built for. */
export interface DecoderFacts {
  /** Channels of the image memory. */
  readonly channels: number
  /** Positions S of the image memory. */
  readonly cells: number
  /** Number of token ids V. */
  readonly vocabulary: number
  /** False for the text-only baseline, whose memory is one cell of zeros; true when left out. */
  readonly image?: boolean
}

/** Every decoder embeds words; the rest is its own. */
export interface DecoderParams {
  /** [V, embedding size] */
  readonly embedding: { readonly weight: Tensor }
}

export interface LossOptions {
  readonly labelSmoothing: number
}

/** Functions of (params, tensors). `memory` is [B S, channels]; a state is a tree of tensors and numbers. */
export interface Decoder<S = unknown, P = DecoderParams, State = unknown> {
  /** What it learns; keys as in the published model. */
  readonly specs: S
  /** Mean cross-entropy [1] of packed captions in nats per token, and what else the model is trained by. */
  loss(p: P, memory: Tensor, text: PackedCaptions, options: LossOptions, mode: Mode): Tensor
  /** Cross-entropy [N] and rank of the right word int32 [N] of each token, without dropout or smoothing. */
  tokenLosses(
    p: P,
    memory: Tensor,
    text: PackedCaptions,
    mode: Mode,
  ): { readonly out: Tensor; readonly rank: Tensor }
  /** Where the model looked for each token: float32 [N, S], shares that sum to 1. In inference. */
  attention(p: P, memory: Tensor, text: PackedCaptions, mode: Mode): Tensor
  /** Prepares decoding with `rowsPerImage` captions of each image, R = B rowsPerImage rows side by side. */
  start(p: P, memory: Tensor, rowsPerImage: number, maxTokens: number): State
  /**
   * Logits float32 [R, V] after feeding `tokens` int32 [R] at `position` (0-based). What row r has read before lies at
   * [ancestors[r, p], p], p < position (int32 [R, T]; absent: in row r itself). Queues kernels only.
   */
  step(p: P, state: State, tokens: Tensor, position: number, ancestors: Tensor | undefined): Tensor
}

/** Keeps specs, params and state of a decoder typed where it is defined, and hides them from everyone else. */
export function defineDecoder<const S extends ParamTree, State>(
  decoder: Decoder<S, ParamsOf<S>, State>,
): Decoder {
  return decoder as unknown as Decoder
}
