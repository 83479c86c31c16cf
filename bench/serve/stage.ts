/**
 * What a server is checked with: a model, pictures, and the captions that captioneer gives for them without a server. What
 * the server replies has to be that, to the byte.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import sharp from 'sharp'
import { type Caption, type Captioner, loadCaptioner } from '../../ts/captioner.js'
import { writeScenes } from '../../ts/data/scenes/write.js'
import { ArgumentError } from '../../ts/errors.js'
import type { DeviceName } from '../../ts/native.js'
import { train } from '../../ts/train/train.js'

export interface Picture {
  readonly bytes: Buffer
  readonly extension: string
  /** Without a server, with the model's own options. */
  readonly caption: Caption
}

export interface Stage {
  readonly model: string
  readonly pictures: readonly Picture[]
  readonly captioner: Captioner
  /** For files of the checks; removed by `end`. */
  readonly folder: string
  readonly end: () => Promise<void>
}

export interface StageOptions {
  /** A model or run folder; a small one is trained when left out. */
  readonly model?: string | undefined
  /** A folder of JPEG, PNG and WebP files; drawn scenes when left out. */
  readonly images?: string | undefined
  readonly device: DeviceName
}

/** Pictures that the clients send. */
const MOST_PICTURES = 48
/** Of drawn ones, pixels: decoding has something to do. */
const SIDE = 320
const TRAINING_SCENES = 200
const TRAINING_STEPS = 60

export async function setStage({ model, images, device }: StageOptions): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'captioneer-serve-check-'))
  const end = () => rm(folder, { recursive: true, force: true })
  try {
    const path = model ?? (await trainSmall(folder))
    const files = images === undefined ? await drawn(folder) : await filesOf(images)
    const captioner = await loadCaptioner(path, { device })
    const pictures: Picture[] = []
    for (const { bytes, extension } of files)
      pictures.push({ bytes, extension, caption: await captioner.caption(bytes) })
    return { model: path, pictures, captioner, folder, end }
  } catch (error) {
    await end()
    throw error
  }
}

/** It tells pictures apart, and no more is asked of it. */
async function trainSmall(folder: string): Promise<string> {
  const data = join(folder, 'scenes')
  await writeScenes(data, { train: TRAINING_SCENES, val: 20, seed: 1, size: 64 })
  const { model } = await train({
    data,
    out: join(folder, 'run'),
    preset: 'tiny',
    maxSteps: TRAINING_STEPS,
    batchSize: 16,
    report: false,
    device: 'cpu',
  })
  return model
}

async function drawn(folder: string): Promise<Omit<Picture, 'caption'>[]> {
  const path = join(folder, 'pictures')
  await writeScenes(path, { train: MOST_PICTURES - 1, val: 1, seed: 2, size: SIDE })
  const names = (await readdir(join(path, 'images'))).sort()
  const formats = ['jpeg', 'png', 'webp'] as const
  return await Promise.all(
    names.map(async (name, i) => {
      const format = formats[i % formats.length] ?? 'jpeg'
      const bytes = await sharp(join(path, 'images', name))
        .toFormat(format)
        .toBuffer()
      return { bytes, extension: `.${format}` }
    }),
  )
}

async function filesOf(folder: string): Promise<Omit<Picture, 'caption'>[]> {
  const names = (await readdir(folder)).filter((name) => /\.(jpe?g|png|webp)$/i.test(name)).sort()
  if (names.length === 0)
    throw new ArgumentError(
      `serve:check: expected JPEG, PNG or WebP files in ${folder}, there are none`,
    )
  return await Promise.all(
    names.slice(0, MOST_PICTURES).map(async (name) => ({
      bytes: await readFile(join(folder, name)),
      extension: extname(name).toLowerCase(),
    })),
  )
}
