/**
 * Flickr8k and Flickr30k as their authors gave them out: `*.token.txt` (`photo.jpg#0<tab>caption`),
 * with the splits of `Flickr_8k.trainImages.txt` and its like where they lie in the folder, and
 * `results*.csv` (`image_name| comment_number| comment`).
 * Source: Hodosh et al. 2013, JAIR 47:853-899; Young et al. 2014, TACL 2:67-78.
 */
import { join } from 'node:path'
import type { DataFolder } from '../data-folder.js'
import type { Problems } from '../problems.js'
import { type SplitName, splitNamed } from '../split.js'
import { readText } from '../text-file.js'
import { filesThat, type Reader } from './reader.js'

const TOKEN_LINE = /^(.+?)#\d+\t(.*)$/

export const flickrToken: Reader = {
  layout: 'Flickr token file: *.token.txt with lines photo.jpg#0<tab>caption',
  recognise: (folder) =>
    // Flickr8k.lemma.token.txt holds the same captions again, as dictionary forms.
    filesThat(folder, /^(?!.*lemma).*token(\.txt)?$/i, (head) =>
      TOKEN_LINE.test(head.split(/\r?\n/, 1)[0] ?? ''),
    ),
  async *read(file, folder, problems) {
    const splits = await splitLists(folder, problems)
    for (const [line, number] of await linesOf(file, problems)) {
      const match = TOKEN_LINE.exec(line)
      if (!match) {
        problems.add('unreadable rows', `${file}:${number}: ${line}`)
        continue
      }
      const [, image = '', caption = ''] = match
      yield { image, captions: [caption], split: splits && (splits.get(image) ?? 'none') }
    }
  },
}

export const flickrResults: Reader = {
  layout: 'Flickr results: results*.csv with lines image_name| comment_number| comment',
  recognise: (folder) =>
    filesThat(folder, /^results.*\.csv$/i, (head) => /^[^|\n]+\|\s*\S+\s*\|/.test(head)),
  async *read(file, _folder, problems) {
    for (const [line, number] of await linesOf(file, problems)) {
      const [image = '', index, ...rest] = line.split('|').map((field) => field.trim())
      if (number === 1 && /^image/i.test(image) && !/^\d+$/.test(index ?? '')) continue
      if (image === '' || rest.length === 0) {
        problems.add('unreadable rows', `${file}:${number}: ${line}`)
      } else yield { image, captions: [rest.join(' | ')] }
    }
  },
}

/** Lines that hold something, with their numbers from 1. */
async function linesOf(file: string, problems: Problems): Promise<[string, number][]> {
  const text = (await readText(file, problems)) ?? ''
  return text
    .split(/\r?\n/)
    .map((line, i): [string, number] => [line, i + 1])
    .filter(([line]) => line.trim() !== '')
}

/** Split by image name from the lists beside the captions; undefined when there are none. */
async function splitLists(
  folder: DataFolder,
  problems: Problems,
): Promise<Map<string, SplitName> | undefined> {
  const splits = new Map<string, SplitName>()
  for (const [directory, files] of folder.directories) {
    for (const file of files) {
      const split = splitNamed(/(train|dev|val|test)Images\.txt$/i.exec(file)?.[1] ?? '')
      if (split === undefined) continue
      for (const [name] of await linesOf(join(directory, file), problems))
        splits.set(name.trim(), split)
    }
  }
  return splits.size > 0 ? splits : undefined
}
