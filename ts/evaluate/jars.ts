/**
 * METEOR with paraphrases and SPICE by their authors' programs, which users get for themselves: meteor-1.5.jar and
 * spice-1.0.jar, as coco-caption uses them. Running a jar is java.ts.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { DataError, printable } from '../errors.js'
import { checkJar, checkJava, runJar } from './java.js'
import {
  METEOR_FIGURES,
  type MeteorCounts,
  meteorOfCounts,
  sumMeteorCounts,
} from './meteor/meteor.js'
import type { TokenizedImage } from './ngrams.js'

export interface JarOptions {
  /** Path of meteor-1.5.jar, with its folder data/ beside it. */
  readonly meteorJar?: string | undefined
  /** Path of spice-1.0.jar, with its folder lib/ beside it. */
  readonly spiceJar?: string | undefined
  readonly signal?: AbortSignal | undefined
}

export interface JarScores {
  /** Of each image, what METEOR is made of. */
  readonly meteorCounts?: readonly MeteorCounts[]
  /** 0-1: METEOR from the counts of all images, SPICE's mean over images. */
  readonly corpus: { readonly meteor?: number; readonly spice?: number }
  /** 0-1; SPICE is 0 where neither the candidate nor a reference says anything. */
  readonly perImage: readonly { readonly meteor?: number; readonly spice?: number }[]
}

/** Throws ArgumentError when a jar that is given is not there, or Java is not: to be told before long work. */
export async function checkJars({ meteorJar, spiceJar }: JarOptions): Promise<void> {
  if (meteorJar !== undefined) await checkJar('METEOR', meteorJar)
  if (spiceJar !== undefined) await checkJar('SPICE', spiceJar)
  if (meteorJar !== undefined || spiceJar !== undefined)
    await checkJava(meteorJar === undefined ? 'SPICE' : 'METEOR')
}

/** The scores of the jars given; both at a time. Throws as `runJar` does, and DataError for an answer that is none. */
export async function jarScores(
  images: readonly TokenizedImage[],
  { meteorJar, spiceJar, signal }: JarOptions,
): Promise<JarScores> {
  const [meteorCounts, spice] = await Promise.all([
    meteorJar === undefined ? undefined : meteorByJar(images, meteorJar, signal),
    spiceJar === undefined ? undefined : spiceByJar(images, spiceJar, signal),
  ])
  return {
    ...(meteorCounts && { meteorCounts }),
    corpus: {
      ...(meteorCounts && { meteor: meteorOfCounts(sumMeteorCounts(meteorCounts)) }),
      ...(spice && { spice: spice.reduce((sum, value) => sum + value, 0) / spice.length }),
    },
    perImage: images.map((_, i) => ({
      ...(meteorCounts && { meteor: meteorOfCounts(meteorCounts[i] ?? []) }),
      ...(spice && { spice: spice[i] ?? 0 }),
    })),
  }
}

/**
 * One line "SCORE ||| reference ||| ... ||| candidate" an image, answered by a line of figures. METEOR's own jar and
 * coco-caption's patched one differ in how they answer the next question, EVAL, so that is left to `meteorOfCounts`.
 */
async function meteorByJar(
  images: readonly TokenizedImage[],
  jar: string,
  signal: AbortSignal | undefined,
): Promise<MeteorCounts[]> {
  const lines = images.map(({ candidate, references }) =>
    ['SCORE', ...[...references, candidate].map((tokens) => tokens.join(' '))].join(' ||| '),
  )
  const output = await runJar({
    name: 'METEOR',
    jar,
    heap: '2G',
    words: ['-', '-', '-stdio', '-l', 'en', '-norm'],
    input: `${lines.join('\n')}\n`,
    signal,
  })
  const answers = output.trimEnd().split('\n')
  return images.map((_, i) => {
    const figures = (answers[i] ?? '').trim().split(/\s+/).map(Number)
    if (figures.length === METEOR_FIGURES && figures.every(Number.isFinite)) return figures
    throw new DataError(
      `METEOR: expected ${METEOR_FIGURES} figures for caption ${i + 1} of ${images.length}, received ` +
        `${printable(answers[i] ?? '')} from ${jar}. Is it meteor-1.5.jar?`,
    )
  })
}

const spiceAnswer = z.array(
  z.object({
    image_id: z.number(),
    scores: z.object({ All: z.object({ f: z.number().nullable() }) }),
  }),
)

async function spiceByJar(
  images: readonly TokenizedImage[],
  jar: string,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const folder = await mkdtemp(join(tmpdir(), 'captioneer-spice-'))
  try {
    const [asked, answered] = [join(folder, 'captions.json'), join(folder, 'scores.json')]
    const captions = images.map(({ candidate, references }, i) => ({
      image_id: i,
      test: candidate.join(' '),
      refs: references.map((tokens) => tokens.join(' ')),
    }))
    await writeFile(asked, JSON.stringify(captions))
    const words = [asked, '-out', answered, '-subset', '-silent']
    await runJar({ name: 'SPICE', jar, heap: '8G', words, signal })
    return await readSpice(answered, images.length, jar)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function readSpice(file: string, count: number, jar: string): Promise<number[]> {
  try {
    const answer = spiceAnswer.parse(JSON.parse(await readFile(file, 'utf8')))
    const scores = new Map(answer.map(({ image_id, scores }) => [image_id, scores.All.f ?? 0]))
    if (scores.size !== count) throw new Error(`${scores.size} scores`)
    return Array.from({ length: count }, (_, i) => scores.get(i) ?? 0)
  } catch (cause) {
    throw new DataError(
      `SPICE: expected one score for each of ${count} captions from ${jar}. Is it spice-1.0.jar?`,
      { cause },
    )
  }
}
