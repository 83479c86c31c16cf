/** A caption as JSON: one reply, whose keys serve the clients of S2 and S3 too, and one way to name a failed image. */
import type { Caption } from '../captioner.js'
import type { CaptionAttention } from '../models/word-attention.js'

/** Where the model looked for each token, row by row of its map. */
export interface AttentionReply {
  readonly width: number
  readonly height: number
  readonly words: readonly {
    readonly word: string
    /** [height * width]: shares, which sum to 1 less what went to no place in the image. */
    readonly weights: readonly number[]
  }[]
}

/** @param image the file's name as the client gave it */
export function captionReply(image: string, model: string, caption: Caption): object {
  const { text, score, tokens, captions, attention } = caption
  return {
    image,
    caption: text,
    score,
    ...(captions ? { captions: captions.map(alternative) } : {}),
    tokens,
    ...(attention ? { attention: attentionReply(attention) } : {}),
    model,
  }
}

/** The keys that S3's Lambda replied with, for one image. */
export function classifyKeys(image: string, { text }: Caption): object {
  return { file: image, predicted: text }
}

function alternative({ text, score, attention }: NonNullable<Caption['captions']>[number]): object {
  return {
    caption: text,
    score,
    ...(attention ? { attention: attentionReply(attention) } : {}),
  }
}

function attentionReply({ words, side, extra, weights }: CaptionAttention): AttentionReply {
  const cells = extra + side * side
  return {
    width: side,
    height: side,
    words: words.map((word, i) => ({
      word,
      weights: Array.from(weights.subarray(i * cells + extra, (i + 1) * cells), fiveDigits),
    })),
  }
}

function fiveDigits(weight: number): number {
  return Math.round(weight * 1e5) / 1e5
}
