/**
 * JSON lines, one object a line with an image's name and its caption or captions; Hugging Face's
 * `metadata.jsonl` (`file_name`, `text`) in the folder of its images.
 * Source: https://huggingface.co/docs/datasets/image_dataset
 */
import { splitNamed } from '../split.js'
import { readText } from '../text-file.js'
import { isObject, type JsonObject, stringsIn, textOf } from './json.js'
import { filesThat, idBeside, type Reader, splitOfFile } from './reader.js'

const IMAGE_KEYS = ['file_name', 'image', 'filename', 'image_path', 'path', 'file']
const CAPTION_KEYS = ['text', 'caption', 'captions', 'texts', 'sentences']

export const jsonLines: Reader = {
  layout: 'JSON lines: metadata.jsonl or *.jsonl with { file_name, text } or { image, caption(s) }',
  recognise: (folder) =>
    filesThat(folder, /\.(jsonl|ndjson)$/i, (head) =>
      head
        .split('\n')
        .slice(0, 20)
        .some((line) => imageOf(parse(line)) !== undefined),
    ),
  async *read(file, folder, problems) {
    const text = (await readText(file, problems)) ?? ''
    const splitOfAll = splitOfFile(folder, file)
    for (const [i, line] of text.split(/\r?\n/).entries()) {
      if (line.trim() === '') continue
      const row = parse(line)
      const image = imageOf(row)
      if (image === undefined) {
        problems.add('unreadable rows', `${file}:${i + 1}: ${line}`)
        continue
      }
      const captions = CAPTION_KEYS.flatMap((key) => stringsIn(row?.[key]))
      const split = splitNamed(textOf(row?.split) ?? '') ?? splitOfAll
      yield { image, id: idBeside(folder, file, image), captions, split }
    }
  },
}

function parse(line: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function imageOf(row: JsonObject | undefined): string | undefined {
  return IMAGE_KEYS.map((key) => textOf(row?.[key])).find((name) => name !== undefined)
}
