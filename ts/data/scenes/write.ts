/**
 * The generated scenes as a data set on disk: pictures, captions in Karpathy's layout, and the scenes themselves.
 * Which scenes exist and what is said of them is decided in scene.ts and grammar.ts.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { argumentError, DataError } from '../../errors.js'
import { fileError } from '../../files/system-error.js'
import { describeScene } from './grammar.js'
import { sceneRandom } from './random.js'
import { checkPictureSize, renderScenePng } from './render.js'
import {
  DEFAULT_SCENE_OPTIONS,
  generateScene,
  type Scene,
  type SceneOptions,
  sceneSplit,
} from './scene.js'
import { formatSceneFile, parseSceneFile, SCENES_FILE, sceneFileHead } from './scene-file.js'

/** A folder of scenes: `train` and `val` count pictures, `size` is their side in pixels, 16-4096. */
export interface WriteScenesOptions {
  readonly train: number
  readonly val: number
  /** An integer from 0 to 2^32 - 1. */
  readonly seed: number
  readonly size: number
  /** How hard the scenes are; left out, DEFAULT_SCENE_OPTIONS. */
  readonly scene?: Partial<SceneOptions>
  /** Called after each picture with how many of how many are there. */
  readonly onProgress?: (done: number, total: number) => void
  readonly signal?: AbortSignal
}

const CAPTIONS_FILE = 'dataset_scenes.json'
/** Pictures drawn at a time: sharp draws each on one of Node's four worker threads. */
const LANES = 4
/** Raised when the same settings come to mean other pictures or captions, so that old folders are written anew. */
const EDITION = 2

/**
 * Writes `scenes.json`, `images/scene-<id>.png` and, last, `dataset_scenes.json` into `folder`. Of a folder that holds
 * the same set, only missing pictures are drawn; one of other settings is replaced.
 * Throws ArgumentError for impossible numbers, DataError for a folder with `images` that are not ours or settings with too
 * few meanings, CheckpointError when the system refuses to write, and the signal's reason when aborted.
 */
export async function writeScenes(folder: string, options: WriteScenesOptions): Promise<void> {
  const { train, val, seed, size } = options
  checkOptions(options)
  const difficulty = { ...DEFAULT_SCENE_OPTIONS, ...options.scene }
  const settings = { edition: EDITION, train, val, seed, size, ...difficulty }
  const scenes = chooseScenes(train, val, seed, difficulty)
  await mkdir(folder, { recursive: true })
  await makeRoom(folder, settings)
  await writeWhole(join(folder, SCENES_FILE), formatSceneFile(settings, scenes))
  await drawMissing(join(folder, 'images'), scenes, options)
  const records = scenes.map((scene, imgid) => {
    const random = sceneRandom(seed, Number(scene.id), 2)
    const sentences = describeScene(scene, random).map((raw) => ({ raw }))
    return { filename: imageName(scene), imgid, split: sceneSplit(scene), sentences }
  })
  const captions = JSON.stringify({ dataset: 'scenes', images: records })
  await writeWhole(join(folder, CAPTIONS_FILE), captions)
}

/**
 * The scenes of a folder that `writeScenes` made, by the file name of their picture.
 * Throws DataError when the file is missing or damaged.
 */
export async function readScenes(folder: string): Promise<Map<string, Scene>> {
  const path = join(folder, SCENES_FILE)
  try {
    const scenes = parseSceneFile(await readFile(path, 'utf8'))
    return new Map(scenes.map((scene) => [imageName(scene), scene]))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new DataError(
      `reading scenes: expected ${path} as writeScenes makes it: ${reason}. Write the folder again`,
      { cause },
    )
  }
}

/** Name of the scene's picture inside `images/`. */
export function imageName(scene: Scene): string {
  return `scene-${scene.id}.png`
}

// The first scenes of the series that fall to each split, in the order of the series.
function chooseScenes(
  train: number,
  val: number,
  seed: number,
  difficulty: SceneOptions,
): readonly Scene[] {
  const wanted = { train, val }
  const scenes: Scene[] = []
  const limit = 10_000 + 100 * (train + val)
  for (let index = 0; scenes.length < train + val; index++) {
    if (index === limit) {
      throw new DataError(
        `writing scenes: of the first ${limit} scenes too few fall to each split ` +
          `(${wanted.train} missing in train, ${wanted.val} in val). ` +
          'Allow more shapes, colours or counts, so that there are more meanings to hold out',
      )
    }
    const scene = generateScene(seed, index, difficulty)
    const split = sceneSplit(scene)
    if (wanted[split] === 0) continue
    wanted[split]--
    scenes.push(scene)
  }
  return scenes
}

// Removes what a set of other settings left behind; refuses a folder of images that this module did not make.
async function makeRoom(folder: string, settings: object): Promise<void> {
  const names = await readdir(folder)
  if (!names.includes(SCENES_FILE)) {
    if (!names.includes('images')) return
    throw new DataError(
      `writing scenes: expected ${folder} to be empty or a folder of scenes, found "images" without ` +
        `${SCENES_FILE}. Choose another folder`,
    )
  }
  const old = await readFile(join(folder, SCENES_FILE), 'utf8')
  if (old.startsWith(sceneFileHead(settings))) return
  await rm(join(folder, CAPTIONS_FILE), { force: true })
  await rm(join(folder, 'images'), { recursive: true, force: true })
}

async function drawMissing(
  images: string,
  scenes: readonly Scene[],
  { size, onProgress, signal }: WriteScenesOptions,
): Promise<void> {
  await mkdir(images, { recursive: true })
  const there = new Set(await readdir(images))
  let [next, done] = [0, 0]
  const lane = async () => {
    try {
      for (let scene = scenes[next++]; scene !== undefined; scene = scenes[next++]) {
        signal?.throwIfAborted()
        const name = imageName(scene)
        if (!there.has(name)) {
          await writeWhole(join(images, name), await renderScenePng(scene, size))
        }
        onProgress?.(++done, scenes.length)
      }
    } catch (error) {
      next = scenes.length
      throw error
    }
  }
  // Waits for every lane, so that nothing is written any more once the caller has the error.
  const lanes = await Promise.allSettled(Array.from({ length: LANES }, lane))
  const failed = lanes.find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

// A file is there whole or not at all, so that its name is proof enough when resuming. Without the flush of writeAtomic,
// which would cost more than drawing: a picture lost in a power cut can be drawn again.
async function writeWhole(path: string, content: string | Buffer): Promise<void> {
  try {
    await writeFile(`${path}.part`, content)
    await rename(`${path}.part`, path)
  } catch (error) {
    throw fileError(`writing scenes: ${path}`, error)
  }
}

function checkOptions({ train, val, seed, size }: WriteScenesOptions): void {
  const numbers: readonly (readonly [string, number])[] = [
    ['train', train],
    ['val', val],
    ['seed', seed],
  ]
  for (const [name, value] of numbers) {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
      throw argumentError('writeScenes', name, 'an integer from 0 to 2^32 - 1', value)
    }
  }
  checkPictureSize('writeScenes', size)
}
