/** What a layout's reader must do: say which files are its own, and turn one of them into rows. */
import { basename, dirname, isAbsolute, join } from 'node:path'
import { type DataFolder, pathFrom } from '../data-folder.js'
import type { Problems } from '../problems.js'
import { type SplitName, splitOfPath } from '../split.js'
import { readHead } from '../text-file.js'

/** Captions of one image as a file gives them; the same image may come in many rows. */
export interface CaptionRow {
  /** The image as the file names it: file name, stem, or path. */
  readonly image: string
  /** The data set's own id; the image's name when left out. */
  readonly id?: string | undefined
  readonly captions: readonly string[]
  /** `none`: given splits leave this image out. undefined: the data do not say. */
  readonly split?: SplitName | 'none' | undefined
  /** Name of the folder that the image should be in, where the file says so. */
  readonly folder?: string | undefined
}

export interface Reader {
  /** The layout in one line, as messages list it. */
  readonly layout: string
  /** Files (or folders, for sidecars) of this layout; empty when there are none. */
  recognise(folder: DataFolder): Promise<readonly string[]>
  /** The rows of one of these; what cannot be read is counted. */
  read(file: string, folder: DataFolder, problems: Problems): AsyncIterable<CaptionRow>
}

/** More files of one kind in a folder than this belong to single images, not to a data set. */
const MAX_CANDIDATES = 100

/**
 * Files whose name fits `pattern` and whose first 64 KiB pass `test`; where the user named the
 * captions file, that one alone, whatever its name.
 */
export async function filesThat(
  folder: DataFolder,
  pattern: RegExp,
  test: (head: string) => boolean,
): Promise<string[]> {
  const candidates: string[] = []
  if (folder.named !== undefined) candidates.push(folder.named)
  else {
    for (const [directory, files] of folder.directories) {
      const fitting = files.filter((file) => pattern.test(file))
      if (fitting.length > MAX_CANDIDATES) continue
      candidates.push(...fitting.map((file) => join(directory, file)))
    }
  }
  const found: string[] = []
  for (const file of candidates) if (test(await readHead(file))) found.push(file)
  return found
}

/** The split that the file's place and name in the data set give, if they do. */
export function splitOfFile(folder: DataFolder, file: string): SplitName | undefined {
  return splitOfPath(pathFrom(folder.root, file) || basename(file))
}

/** An id for an image named from the captions file's own folder: its path from the root. */
export function idBeside(folder: DataFolder, file: string, image: string): string {
  return isAbsolute(image) ? image : pathFrom(folder.root, join(dirname(file), image))
}
