/**
 * From a folder or file of any known layout to images with captions, each in one split. Reads no
 * pixels: an image that cannot be decoded shows when it is loaded (image-loader.ts).
 */
import { dirname, join } from 'node:path'
import { argumentError, DataError } from '../errors.js'
import { type DataFolder, isImageName, openDataFolder, pathFrom } from './data-folder.js'
import { createProblems, type DataProblem, type Problems } from './problems.js'
import { captionsCsv } from './readers/captions-csv.js'
import { coco } from './readers/coco.js'
import { flickrResults, flickrToken } from './readers/flickr.js'
import { jsonLines } from './readers/json-lines.js'
import { karpathy } from './readers/karpathy.js'
import type { Reader } from './readers/reader.js'
import { sidecars } from './readers/sidecars.js'
import { assignSplits, type SplitName, strictest } from './split.js'

export type { DataProblem } from './problems.js'
export type { SplitName } from './split.js'

export interface CaptionedImage {
  /** Unique in the data set: its own id where it has one (COCO), else the image's name there. */
  readonly id: string
  readonly path: string
  /** At least one; white space trimmed and runs of it made one space, else as written. */
  readonly captions: readonly string[]
  readonly split: SplitName
}

export interface Dataset {
  readonly root: string
  /** The layout that was recognised, in words. */
  readonly layout: string
  /** In the order of the data. */
  readonly images: readonly CaptionedImage[]
  readonly problems: readonly DataProblem[]
}

export interface ReadOptions {
  /** Decides, with the id, where the data give no split; an integer, 0 when left out. */
  readonly seed?: number
  /** Share of images held out for `val` where the data give none, 0 to below 1; 0.1 when left out. */
  readonly valFraction?: number
  /** The captions file to read, from the folder; needed when several lie there and the wrong one is taken. */
  readonly captionsFile?: string
  /** The folder of the images, from the data's folder, when they lie elsewhere. */
  readonly imagesFolder?: string
}

/** The more particular layouts first: a Flickr results file is also a table. */
const READERS: readonly Reader[] = [
  karpathy,
  coco,
  flickrToken,
  flickrResults,
  jsonLines,
  captionsCsv,
  sidecars,
]

/**
 * Reads a data set, its layout recognised by looking. Faults are counted in `problems` and the rest
 * is used; an image, known by its id and by its file, is in one split only.
 *
 * @param path folder of the data set, or its captions file
 * @throws DataError when the path does not exist or no image with a caption is left
 * @throws ArgumentError for a wrong seed or valFraction
 */
export async function readDataset(path: string, options: ReadOptions = {}): Promise<Dataset> {
  const { seed = 0, valFraction = 0.1 } = options
  if (!Number.isSafeInteger(seed)) throw argumentError('readDataset', 'seed', 'an integer', seed)
  if (!(valFraction >= 0 && valFraction < 1)) {
    throw argumentError('readDataset', 'valFraction', 'a number from 0 to below 1', valFraction)
  }
  const folder = await openDataFolder(path, options)
  const tried: string[] = []
  for (const reader of READERS) {
    const problems = createProblems()
    const images = await collect(reader, folder, problems)
    if (images.length > 0) {
      return {
        root: folder.root,
        layout: reader.layout,
        images: assignSplits(images, { seed, valFraction }),
        problems: problems.list(),
      }
    }
    for (const { kind, count, examples } of problems.list()) {
      tried.push(`${count} ${kind} (${examples[0]})`)
    }
  }
  throw new DataError(
    [
      `reading data from "${path}": found no image with a caption`,
      ...tried.map((problem) => `  ${problem}`),
      'Layouts that are read, with the images beside the file or in a folder below it:',
      ...READERS.map((reader) => `  ${reader.layout}`),
    ].join('\n'),
  )
}

/** The images of one split, in the order of the data. */
export function splitOf(dataset: Dataset, split: SplitName): readonly CaptionedImage[] {
  return dataset.images.filter((image) => image.split === split)
}

interface Draft {
  id: string
  readonly path: string
  readonly captions: string[]
  split: SplitName | undefined
}

/** The images of all files of a layout, rows of the same image brought together. */
async function collect(reader: Reader, folder: DataFolder, problems: Problems): Promise<Draft[]> {
  const drafts = new Map<string, Draft | 'left out'>()
  const found = new Map<string, string | undefined>()
  for (const file of await reader.recognise(folder)) {
    const beside = dirname(file)
    for await (const row of reader.read(file, folder, problems)) {
      const where = row.folder === undefined ? { beside } : { beside, folder: row.folder }
      const name = `${beside}\0${row.folder}\0${row.image}`
      if (!found.has(name)) found.set(name, await folder.findImage(row.image, where))
      const path = found.get(name)
      if (path === undefined) {
        for (const caption of row.captions) {
          problems.add('captions without an image', `${row.image}: ${caption}`)
        }
        continue
      }
      const key = folder.canonical(path)
      if (row.split === 'none') {
        if (!drafts.has(key)) problems.add('images outside the given splits', row.image)
        drafts.set(key, 'left out')
        continue
      }
      let draft = drafts.get(key)
      if (draft === undefined || draft === 'left out') {
        draft = { id: row.id ?? row.image, path, captions: [], split: row.split }
        drafts.set(key, draft)
      }
      if (row.split && draft.split && row.split !== draft.split) {
        problems.add('images given in two splits', `${row.image}: ${draft.split}, ${row.split}`)
      }
      draft.split = strictest(draft.split, row.split)
      addCaptions(draft, row.captions, problems)
    }
  }
  return finish(drafts, folder, problems)
}

function addCaptions(draft: Draft, captions: readonly string[], problems: Problems): void {
  for (const written of captions) {
    const caption = written.replace(/\s+/g, ' ').trim()
    if (caption === '') problems.add('empty captions', draft.id)
    else {
      // Counted but kept: two people may well write the same, and scores expect all references.
      if (draft.captions.includes(caption))
        problems.add('duplicate captions', `${draft.id}: ${caption}`)
      draft.captions.push(caption)
    }
  }
}

/** Leaves out images without captions, counting also those that no row named; makes ids unique. */
function finish(
  drafts: ReadonlyMap<string, Draft | 'left out'>,
  folder: DataFolder,
  problems: Problems,
): Draft[] {
  const ids = new Set<string>()
  const folders = new Set<string>()
  const images: Draft[] = []
  for (const draft of drafts.values()) {
    if (draft === 'left out') continue
    folders.add(dirname(draft.path))
    if (draft.captions.length === 0) {
      problems.add('images without captions', draft.path)
      continue
    }
    if (ids.has(draft.id)) {
      problems.add('different images with one id', `${draft.id}: ${draft.path}`)
      draft.id = pathFrom(folder.root, draft.path)
    }
    ids.add(draft.id)
    images.push(draft)
  }
  for (const directory of folders) {
    for (const file of folder.imageDirectories.get(directory) ?? []) {
      const path = join(directory, file)
      if (isImageName(file) && !drafts.has(folder.canonical(path))) {
        problems.add('images without captions', path)
      }
    }
  }
  return images
}
