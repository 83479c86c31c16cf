/** The folder of a demo: kept apart from folders that hold anything else, cleared for the next demo, and sample pictures. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import sharp from 'sharp'
import { renderScenePng } from './data/scenes/render.js'
import type { Scene } from './data/scenes/scene.js'
import { ArgumentError } from './errors.js'
import type { Prediction } from './evaluate/judge.js'
import { fileError, systemCode } from './files/system-error.js'
import type { PictureOf } from './report/gallery.js'

/** Tells a demo's folder from others. */
const MARK = '.captioneer-demo'
/** Longer side of sample pictures, pixels. */
const SIDE = 256

/** A picture that the demo captioned; `image` is its PNG file. */
export interface DemoSample {
  readonly image: string
  readonly caption: string
  readonly references: readonly string[]
}

export interface DemoFolder {
  readonly scenes: string
  readonly model: string
  readonly textOnly: string
  readonly samples: string
  readonly report: string
}

/**
 * Makes the folder, or clears that of an earlier demo of all but its scenes.
 * @throws ArgumentError when it holds other things; CheckpointError when the system refuses
 */
export async function openDemoFolder(out: string): Promise<DemoFolder> {
  const folder: DemoFolder = {
    scenes: join(out, 'scenes'),
    model: join(out, 'model'),
    textOnly: join(out, 'text-only'),
    samples: join(out, 'samples'),
    report: join(out, 'report.html'),
  }
  try {
    const names = await readdir(out).catch((error: unknown): string[] => {
      if (systemCode(error) === 'ENOENT') return []
      throw error
    })
    if (names.length > 0 && !names.includes(MARK))
      throw new ArgumentError(
        `demo: expected ${out} to be a new folder or that of an earlier demo, but it holds ${names[0]}. ` +
          'Choose another --out',
      )
    const { scenes, ...made } = folder
    for (const path of Object.values(made)) await rm(path, { recursive: true, force: true })
    await mkdir(folder.samples, { recursive: true })
    await writeFile(
      join(out, MARK),
      'Made by "captioneer demo", which clears it when it runs again.\n',
    )
  } catch (error) {
    throw fileError(`preparing ${out}`, error)
  }
  return folder
}

/** Large pictures: of scenes drawn anew, of photographs the file itself. */
export function pictures(scenes: ReadonlyMap<string, Scene> | undefined): PictureOf {
  return async ({ path }) => {
    const scene = scenes?.get(basename(path))
    return scene ? renderScenePng(scene, SIDE) : readFile(path)
  }
}

/** Saves predictions as PNG with the caption beside it. Throws CheckpointError when the system refuses. */
export async function saveSamples(
  predictions: readonly Prediction[],
  folder: string,
  pictureOf: PictureOf,
): Promise<DemoSample[]> {
  const samples: DemoSample[] = []
  for (const prediction of predictions) {
    const { path, caption, references } = prediction
    const name = `${samples.length + 1}-${basename(path, extname(path))}`
    const image = join(folder, `${name}.png`)
    const png = await sharp(await pictureOf(prediction), { autoOrient: true })
      .resize(SIDE, SIDE, { fit: 'inside' })
      .png()
      .toBuffer()
    try {
      await writeFile(image, png)
      await writeFile(join(folder, `${name}.txt`), `${caption}\n`)
    } catch (error) {
      throw fileError(`saving ${image}`, error)
    }
    samples.push({ image, caption, references })
  }
  return samples
}
