/** Which part of a caption each weight belongs to: a model's tokens may be parts of words, a page shows words. */
import type { AttentionMap } from './reply.js'

export interface CaptionWord {
  readonly text: string
  /** [height * width] of the map: the mean over the word's tokens; empty where nothing is known. */
  readonly weights: readonly number[]
}

/** The caption's words in their order, with the weights of the tokens that each is made of. */
export function captionWords(caption: string, attention?: AttentionMap): CaptionWord[] {
  const places = [...caption.matchAll(/\S+/g)]
  const maps = places.map((): (readonly number[])[] => [])
  let from = 0
  for (const { word, weights } of attention?.words ?? []) {
    const token = word.trim()
    const start = token === '' ? -1 : caption.indexOf(token, from)
    if (start < 0) continue
    from = start + token.length
    for (const [i, { index, 0: text }] of places.entries())
      if (index < from && index + text.length > start) maps[i]?.push(weights)
  }
  return places.map(({ 0: text }, i) => ({ text, weights: mean(maps[i] ?? []) }))
}

function mean(maps: readonly (readonly number[])[]): readonly number[] {
  const [first = []] = maps
  return first.map((_, cell) => maps.reduce((sum, map) => sum + (map[cell] ?? 0), 0) / maps.length)
}
