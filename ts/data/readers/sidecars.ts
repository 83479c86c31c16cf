/** A folder of photographs with a text file beside each: `dog.jpg` and `dog.txt`, a caption a line. */
import { join, parse } from 'node:path'
import { isImageName, pathFrom } from '../data-folder.js'
import { createLimit } from '../limit.js'
import { readText } from '../text-file.js'
import { type Reader, splitOfFile } from './reader.js'

export const sidecars: Reader = {
  layout: 'folder with sidecars: photo.jpg beside photo.txt, one caption a line',
  async recognise(folder) {
    if (folder.named !== undefined) return []
    const found: string[] = []
    for (const [directory, files] of folder.directories) {
      const names = new Set(files)
      if (files.some((file) => isImageName(file) && names.has(sidecarOf(file))))
        found.push(directory)
    }
    return found
  },
  async *read(directory, folder, problems) {
    const files = folder.directories.get(directory) ?? []
    const names = new Set(files)
    const limit = createLimit(16)
    const rows = files
      .filter((file) => isImageName(file) && names.has(sidecarOf(file)))
      .map((file) => ({
        image: join(directory, file),
        text: limit(() => readText(join(directory, sidecarOf(file)), problems)),
      }))
    const split = splitOfFile(folder, join(directory, '_'))
    for (const { image, text } of rows) {
      const lines = ((await text) ?? '').split(/\r?\n/).filter((line) => line.trim() !== '')
      yield { image, id: pathFrom(folder.root, image), captions: lines, split }
    }
  },
}

function sidecarOf(image: string): string {
  return `${parse(image).name}.txt`
}
