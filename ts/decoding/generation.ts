/** generation.json: how a model decodes where a call says nothing else; and the range of each option of decoding. */
import { z } from 'zod'
import { above, fromTo, integer } from '../schema.js'

/** The range of each option. What it means is told by CaptionOptions. */
export const decodingRanges = {
  beam: integer(1, 64),
  lengthPenalty: fromTo(0, 10),
  minTokens: integer(1, 512),
  maxTokens: integer(1, 512),
  numCaptions: integer(1, 64),
  temperature: fromTo(0, 100),
  topK: integer(1, 2 ** 31 - 1),
  topP: above(0, 1),
  typicalP: above(0, 1),
  tau: above(0, 1),
  repetitionPenalty: above(0, 100),
  repetitionWindow: integer(1, 512),
  frequencyPenalty: fromTo(0, 100),
  frequencyWindow: integer(1, 512),
  noRepeatNgram: integer(0, 512),
  prefix: z.string().max(10_000).describe('a text of at most 10000 characters'),
  seed: integer(0, Number.MAX_SAFE_INTEGER),
}

const ranges = decodingRanges

export const generationSchema = z.strictObject({
  beam: ranges.beam.default(3),
  lengthPenalty: ranges.lengthPenalty.default(0.7),
  minTokens: ranges.minTokens.default(1),
  maxTokens: ranges.maxTokens.default(30),
  numCaptions: ranges.numCaptions.optional(),
  temperature: ranges.temperature.optional(),
  topK: ranges.topK.optional(),
  topP: ranges.topP.optional(),
  typicalP: ranges.typicalP.optional(),
  tau: ranges.tau.optional(),
  repetitionPenalty: ranges.repetitionPenalty.optional(),
  repetitionWindow: ranges.repetitionWindow.optional(),
  frequencyPenalty: ranges.frequencyPenalty.optional(),
  frequencyWindow: ranges.frequencyWindow.optional(),
  noRepeatNgram: ranges.noRepeatNgram.optional(),
  prefix: ranges.prefix.optional(),
  seed: ranges.seed.optional(),
})

/** Defaults of decoding. */
export type GenerationConfig = Readonly<z.output<typeof generationSchema>>
