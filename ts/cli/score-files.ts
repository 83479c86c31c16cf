/**
 * Predictions and references in COCO's formats, matched by image id. Scoring is evaluate/score.ts.
 * Source of the formats: https://cocodataset.org/#format-results and #format-data.
 */
import { readFile } from 'node:fs/promises'
import { isObject, objectsIn, sample, textOf } from '../data/readers/json.js'
import { DataError, printable } from '../errors.js'
import type { CaptionItem } from '../evaluate/score.js'
import { systemReason } from '../files/system-error.js'

const predictionsFormat = '[{ "image_id": 1, "caption": "a dog" }, ...]'
const referencesFormat =
  '{ "images": [{ "id": 1 }, ...], "annotations": [{ "image_id": 1, "caption": "a dog" }, ...] }'

/**
 * The predicted captions, each with its references.
 *
 * @param predictions file with `[{ image_id, caption }]`
 * @param references  file with `{ images[], annotations[{ image_id, caption }] }`
 * @returns the items in the order of the predictions, and how many images have references but no prediction
 * @throws DataError naming the file and the entry that does not fit, or a predicted image without references
 */
export async function readScoreFiles(
  predictions: string,
  references: string,
): Promise<{ items: CaptionItem[]; unpredicted: number }> {
  const captions = captionsOf(await readJson(predictions), predictions, predictionsFormat)
  if (captions.length === 0) throw new DataError(`score: ${predictions} holds no captions`)
  const json = await readJson(references)
  const annotations = isObject(json) ? json.annotations : undefined
  const known = new Map<string, string[]>()
  for (const { id } of objectsIn(isObject(json) ? json.images : [])) known.set(textOf(id) ?? '', [])
  for (const { id, caption } of captionsOf(annotations, references, referencesFormat)) {
    const list = known.get(id)
    if (list) list.push(caption)
    else known.set(id, [caption])
  }
  const items = captions.map(({ id, caption }) => ({
    id,
    candidate: caption,
    references: known.get(id) ?? [],
  }))
  const unknown = items.find((item) => !known.has(item.id))
  if (unknown) {
    throw new DataError(
      `score: ${predictions} has a caption for image ${printable(unknown.id)}, which ${references} does not know. ` +
        'Give the references of the same images',
    )
  }
  return { items, unpredicted: known.size - new Set(items.map(({ id }) => id)).size }
}

function captionsOf(
  json: unknown,
  file: string,
  format: string,
): { id: string; caption: string }[] {
  if (!Array.isArray(json)) throw new DataError(`score: expected ${file} to hold ${format}`)
  return json.map((entry: unknown, i) => {
    const { image_id, caption } = isObject(entry) ? entry : {}
    const id = textOf(image_id)
    if (id !== undefined && typeof caption === 'string') return { id, caption }
    throw new DataError(
      `score: ${file}: caption ${i + 1} is ${sample(entry)}; expected image_id, a number or text, and caption, ` +
        `a text, as in ${format}`,
    )
  })
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (cause) {
    const reason = systemReason(cause) ?? `not valid JSON: ${(cause as Error).message}`
    throw new DataError(`score: reading ${file}: ${reason}`, { cause })
  }
}
