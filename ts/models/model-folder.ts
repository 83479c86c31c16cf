/**
 * A model on disk: config.json, model.safetensors, tokenizer.json, generation.json and a card. Holds no code, and no
 * path in it is followed. Weights keep PyTorch's layouts and names. Loading them to a device is captioner.ts.
 */
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type GenerationConfig, generationSchema } from '../decoding/generation.js'
import { CheckpointError, printable } from '../errors.js'
import { writeAtomic } from '../files/atomic.js'
import { readSafetensors, writeSafetensors } from '../files/safetensors.js'
import { fileError } from '../files/system-error.js'
import { integer } from '../schema.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { loadTokenizer, saveTokenizer } from '../tokenizer/tokenizer-json.js'
import { modelSchema } from './config.js'
import { buildModel, type CaptionModel, modelSpecs } from './model.js'
import { readStored, type StoredValues } from './stored.js'

const configSchema = z.strictObject({
  format: z.literal('captioneer-model'),
  /** Captioneer's version that wrote it. */
  version: z.string().max(40),
  vocabulary: integer(5, 10_000_000),
  /** False for the text-only baseline. */
  image: z.boolean(),
  model: modelSchema,
})

export interface ModelFolder {
  readonly path: string
  readonly model: CaptionModel
  readonly tokenizer: Tokenizer
  readonly generation: GenerationConfig
  /** Values of every parameter and statistic of the model by name, in the device's layout. */
  readonly weights: ReadonlyMap<string, Float32Array>
}

/**
 * Writes a model folder, each file whole or not at all; the weights come last.
 * @param card text of README.md
 * @throws CheckpointError when it cannot be written
 */
export async function saveModelFolder(
  path: string,
  model: CaptionModel,
  tokenizer: Tokenizer,
  generation: GenerationConfig,
  weights: readonly StoredValues[],
  card: string,
  version: string,
): Promise<void> {
  const config = {
    format: 'captioneer-model',
    version,
    vocabulary: model.vocabulary,
    image: model.image,
    model: model.config,
  }
  try {
    await mkdir(path, { recursive: true })
    await saveText(join(path, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
    await saveText(join(path, 'tokenizer.json'), saveTokenizer(tokenizer))
    await saveText(join(path, 'generation.json'), `${JSON.stringify(generation, null, 2)}\n`)
    await saveText(join(path, 'README.md'), card)
    const entries = weights.map(({ name, shape, values }) => ({
      name,
      dtype: 'F32' as const,
      shape,
      data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    }))
    await writeSafetensors(join(path, 'model.safetensors'), entries, new Map([['format', 'pt']]))
  } catch (error) {
    throw fileError(`saving the model to ${path}`, error)
  }
}

/**
 * Reads and checks a model folder; nothing is put on a device.
 * @throws CheckpointError naming the file and the key that does not fit
 */
export async function readModelFolder(path: string): Promise<ModelFolder> {
  const config = await readJson(path, 'config.json', configSchema)
  const generation = await readJson(path, 'generation.json', generationSchema)
  const tokenizerFile = join(path, 'tokenizer.json')
  const tokenizer = loadTokenizer(await readText(tokenizerFile), tokenizerFile)
  if (tokenizer.vocabularySize !== config.vocabulary)
    throw new CheckpointError(
      `reading ${path}: config.json says a vocabulary of ${config.vocabulary}, tokenizer.json holds ` +
        `${tokenizer.vocabularySize}. The files belong to different models: fetch the folder again`,
    )
  const model = buildModel(config.model, config.vocabulary, config.image)
  const file = await readSafetensors(join(path, 'model.safetensors'))
  const weights = readStored(file, modelSpecs(model), 'refuse')
  return { path, model, tokenizer, generation, weights }
}

async function readJson<T extends z.ZodType>(
  folder: string,
  name: string,
  schema: T,
): Promise<z.output<T>> {
  const path = join(folder, name)
  let json: unknown
  try {
    json = JSON.parse(await readText(path))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new CheckpointError(`reading ${path}: not valid JSON (${error.message})`)
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const key = issue?.path.map(String).join('.') || 'the file'
  throw new CheckpointError(
    `reading ${path}: ${key}: ${issue?.message ?? printable(json)}. ` +
      'This is not a model folder of captioneer, or it was changed by hand',
  )
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw fileError(`reading ${path}`, error)
  }
}

async function saveText(path: string, text: string): Promise<void> {
  await writeAtomic(path, async (file) => {
    await file.writeFile(text)
  })
}
