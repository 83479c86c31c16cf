/**
 * Comma- or tab-separated tables with one column of images and one of captions, told by the header:
 * Kaggle's `captions.txt`, `image,caption`, EIR's `ID,Sequence` (the ID is the file's stem), Hugging
 * Face's `metadata.csv`; without a header when the first field is an image's name.
 */
import { parseCsv } from '../csv.js'
import { isImageName } from '../data-folder.js'
import { splitNamed } from '../split.js'
import { readText } from '../text-file.js'
import { stringsIn } from './json.js'
import { filesThat, idBeside, type Reader, splitOfFile } from './reader.js'

const IMAGE_COLUMNS = ['image', 'image_name', 'file_name', 'filename', 'file', 'image_path', 'path']
const ID_COLUMNS = ['image_id', 'id']
const CAPTION_COLUMNS = ['caption', 'captions', 'text', 'sequence', 'sentence', 'comment', 'raw']

interface Columns {
  readonly image: number
  readonly caption: number
  readonly split: number
  readonly header: boolean
  readonly separator: ',' | '\t'
}

export const captionsCsv: Reader = {
  layout:
    'captions.txt, captions.csv or another .csv or .tsv with columns image,caption or ID,Sequence',
  recognise: (folder) =>
    filesThat(folder, /(^captions.*\.txt|\.csv|\.tsv)$/i, (head) => columnsOf(head) !== undefined),
  async *read(file, folder, problems) {
    const text = (await readText(file, problems)) ?? ''
    const columns = columnsOf(text)
    if (columns === undefined) return
    const splitOfAll = splitOfFile(folder, file)
    let first = columns.header
    let width = 0
    for (const { line, fields } of parseCsv(text, columns.separator)) {
      if (first) {
        first = false
        width = fields.length
        continue
      }
      width ||= 2
      // A caption in the last column may hold separators that nobody quoted.
      const last = columns.caption === width - 1
      const caption = last
        ? fields.slice(width - 1).join(columns.separator)
        : fields[columns.caption]
      const image = fields[columns.image]?.trim()
      if (
        !image ||
        caption === undefined ||
        fields.length < width ||
        (fields.length > width && !last)
      ) {
        problems.add('unreadable rows', `${file}:${line}: ${fields.join(columns.separator)}`)
        continue
      }
      const split = splitNamed(fields[columns.split] ?? '') ?? splitOfAll
      yield { image, id: idBeside(folder, file, image), captions: captionsIn(caption), split }
    }
  },
}

/** Where the image, the caption and the split stand, by the first row; undefined when not told. */
function columnsOf(text: string): Columns | undefined {
  for (const separator of [',', '\t'] as const) {
    const [row] = parseCsv(text, separator)
    if (!row) return undefined
    const names = row.fields.map((name) =>
      name
        .trim()
        .toLowerCase()
        .replace(/[\s-]+/g, '_'),
    )
    const column = (known: readonly string[]): number =>
      names.indexOf(known.find((name) => names.includes(name)) ?? '\0')
    const image = column([...IMAGE_COLUMNS, ...ID_COLUMNS])
    const caption = column(CAPTION_COLUMNS)
    if (image >= 0 && caption >= 0) {
      return { image, caption, split: column(['split']), header: true, separator }
    }
    if (row.fields.length > 1 && isImageName(row.fields[0] ?? '')) {
      return { image: 0, caption: 1, split: -1, header: false, separator }
    }
  }
  return undefined
}

/** One caption, or several in the form of a JSON array, as Hugging Face's Flickr30k has them. */
function captionsIn(field: string): string[] {
  if (!field.trimStart().startsWith('["')) return [field]
  try {
    return stringsIn(JSON.parse(field))
  } catch {
    return [field]
  }
}
