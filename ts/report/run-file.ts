/** run.json of a run folder: what a report tells of a run beside its settings and its history. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeAtomic } from '../files/atomic.js'

const schema = z.object({
  captioneer: z.string(),
  node: z.string(),
  system: z.string(),
  device: z.string(),
  started: z.string(),
  /** Trained and frozen numbers of the model. */
  parameters: z.object({ trained: z.number(), fixed: z.number() }),
  data: z.object({
    layout: z.string(),
    root: z.string(),
    training: z.number(),
    validation: z.number(),
    captions: z.number(),
    vocabulary: z.number(),
    /** Images that could not be decoded and were left out. */
    undecodable: z.number(),
    validationSplit: z.string(),
    problems: z.array(
      z.object({ kind: z.string(), count: z.number(), examples: z.array(z.string()) }),
    ),
  }),
  /** The message of the error that ended the run. */
  failure: z.string().optional(),
  /** Absent while the run goes on, and after it ended with an error. */
  result: z
    .object({
      ended: z.string(),
      interrupted: z.boolean(),
      step: z.number(),
      epoch: z.number(),
      bestStep: z.number(),
      bestLoss: z.number().nullable(),
      trainSeconds: z.number(),
      imagesPerSecond: z.number().nullable(),
      captionsPerSecond: z.number().nullable(),
      peakBytes: z.number(),
      skipped: z.number(),
    })
    .optional(),
})

export type RunFile = z.output<typeof schema>

/** The file of a run folder; undefined where it is missing or no such file, as in folders of earlier versions. */
export async function readRunFile(folder: string): Promise<RunFile | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(join(folder, 'run.json'), 'utf8')))
  } catch {
    return undefined
  }
}

/** Throws CheckpointError when the file cannot be written. */
export async function writeRunFile(folder: string, content: RunFile): Promise<void> {
  await writeAtomic(join(folder, 'run.json'), (file) =>
    file.writeFile(`${JSON.stringify(content, null, 2)}\n`),
  )
}
