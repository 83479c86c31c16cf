/**
 * Karpathy's layout, of his splits of Flickr8k, Flickr30k and COCO: one `dataset_*.json` with
 * `images[] { filename, filepath?, cocoid?, split, sentences[] { raw, tokens } }`.
 * Source: Karpathy and Fei-Fei 2015, arXiv:1412.2306; https://cs.stanford.edu/people/karpathy/deepimagesent
 */
import { splitNamed } from '../split.js'
import { readJson } from '../text-file.js'
import { isObject, objectsIn, sample, stringsIn, textOf } from './json.js'
import { filesThat, type Reader } from './reader.js'

export const karpathy: Reader = {
  layout: 'Karpathy JSON: dataset_*.json with images[] { filename, split, sentences[] }',
  recognise: (folder) => filesThat(folder, /\.json$/i, (head) => /"sentences"\s*:/.test(head)),
  async *read(file, _folder, problems) {
    const json = await readJson(file, problems)
    if (json === undefined) return
    const images = isObject(json) ? objectsIn(json.images) : []
    if (images.length === 0) problems.add('unreadable files', `${file}: no images[]`)
    for (const image of images) {
      const filename = textOf(image.filename)
      if (filename === undefined) {
        problems.add('unreadable rows', `${file}: ${sample(image)}`)
        continue
      }
      const captions = objectsIn(image.sentences).map(
        ({ raw, tokens }) => textOf(raw) ?? stringsIn(tokens).join(' '),
      )
      const split = splitNamed(textOf(image.split) ?? '')
      yield {
        image: filename,
        id: textOf(image.cocoid),
        captions,
        split,
        folder: textOf(image.filepath),
      }
    }
  },
}
