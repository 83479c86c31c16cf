/** evaluation.json of a run folder: the result of evaluate() as JSON, from which a report is made anew. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { CaptionOptions } from '../decoding/options.js'
import { DataError } from '../errors.js'
import { writeAtomic } from '../files/atomic.js'
import { fileError, systemCode } from '../files/system-error.js'

const interval = z.object({ low: z.number(), high: z.number() })
const scores = {
  bleu: z.array(z.number()),
  rougeL: z.number(),
  cider: z.number(),
  meteorExactStemSynonym: z.number().optional(),
}

const prediction = z.object({
  image: z.string(),
  path: z.string(),
  caption: z.string(),
  references: z.array(z.string()),
  cider: z.number(),
  exactMatch: z.boolean().optional(),
})

/** The part of an EvaluateResult that a report shows; any more is left as it is. */
const schema = z.object({
  ...scores,
  split: z.string(),
  images: z.number(),
  skipped: z.number(),
  warnings: z.array(z.string()),
  problems: z.array(
    z.object({ kind: z.string(), count: z.number(), examples: z.array(z.string()) }),
  ),
  loss: z.number(),
  shuffledLoss: z.number().optional(),
  textOnlyLoss: z.number().optional(),
  meteor: z.number().optional(),
  spice: z.number().optional(),
  novel: z.number().optional(),
  perplexity: z.number(),
  tokenAccuracy: z.number(),
  tokenAccuracy5: z.number(),
  distinct: z.number(),
  distinct1: z.number(),
  distinct2: z.number(),
  meanLength: z.number(),
  vocabularyUsed: z.number().optional(),
  repeatedCaptions: z.number().optional(),
  exactMatch: z.number().optional(),
  captionsPerSecond: z.number(),
  decoding: z.custom<CaptionOptions>((value) => typeof value === 'object' && value !== null),
  floors: z.object({
    constant: z.object({ caption: z.string(), ...scores }),
    random: z.object(scores),
    human: z.object(scores).optional(),
  }),
  intervals: z.object({
    loss: interval,
    shuffledMinusLoss: interval.optional(),
    textOnlyMinusLoss: interval.optional(),
    bleu4: interval,
    rougeL: interval,
    cider: interval,
    meteorExactStemSynonym: interval.optional(),
    meteor: interval.optional(),
    spice: interval.optional(),
    exactMatch: interval.optional(),
  }),
  predictions: z.array(prediction),
})

type Mutable = z.output<typeof schema>
/** What a report shows of an evaluation; every EvaluateResult is one. */
export type ReportedEvaluation = DeepReadonly<Mutable>
export type ReportedPrediction = ReportedEvaluation['predictions'][number]

type DeepReadonly<T> = T extends readonly (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T

/** The evaluation that belongs to a run's report. */
export function evaluationPath(folder: string): string {
  return join(folder, 'evaluation.json')
}

/**
 * Reads an evaluation, such as the output of `captioneer evaluate --json`.
 * @returns undefined when there is no such file
 * @throws DataError when it holds something else; CheckpointError when it cannot be read
 */
export async function readEvaluation(path: string): Promise<ReportedEvaluation | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw fileError(`reading ${path}`, error)
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new DataError(`reading ${path}: it is no JSON. Write it with "evaluate --json"`, {
      cause,
    })
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const { path: key = [], message } = parsed.error.issues[0] ?? {}
  throw new DataError(
    `reading ${path}: expected the result of an evaluation, but ${key.join('.') || 'it'}: ${message}. ` +
      'Write it with "captioneer evaluate --json"',
  )
}

/** Throws CheckpointError when the file cannot be written. */
export async function writeEvaluation(path: string, evaluation: ReportedEvaluation): Promise<void> {
  await writeAtomic(path, (file) => file.writeFile(`${JSON.stringify(evaluation)}\n`))
}
