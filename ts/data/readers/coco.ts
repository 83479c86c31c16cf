/**
 * COCO's captions: `captions_train2017.json` and its like, with `images[] { id, file_name }` and
 * `annotations[] { image_id, caption }`; the split and the images' folder follow from the file's name.
 * Source: Chen et al. 2015, arXiv:1504.00325; https://cocodataset.org/#format-data
 */
import { basename } from 'node:path'
import { readJson } from '../text-file.js'
import { isObject, objectsIn, sample, textOf } from './json.js'
import { filesThat, type Reader, splitOfFile } from './reader.js'

export const coco: Reader = {
  layout:
    'COCO captions JSON: captions_*.json with images[] and annotations[] { image_id, caption }',
  recognise: (folder) =>
    filesThat(folder, /caption.*\.json$/i, (head) => /"(annotations|images|info)"\s*:/.test(head)),
  async *read(file, folder, problems) {
    const json = await readJson(file, problems)
    if (json === undefined) return
    const images = isObject(json) ? objectsIn(json.images) : []
    if (!isObject(json) || images.length === 0) {
      problems.add('unreadable files', `${file}: no images[]`)
      return
    }
    const captions = new Map<string, string[]>()
    for (const { id } of images) captions.set(textOf(id) ?? '', [])
    for (const annotation of objectsIn(json.annotations)) {
      const caption = annotation.caption
      const known = captions.get(textOf(annotation.image_id) ?? '')
      if (typeof caption !== 'string')
        problems.add('unreadable rows', `${file}: ${sample(annotation)}`)
      else if (known) known.push(caption)
      else problems.add('captions without an image', `${file}: ${sample(annotation)}`)
    }
    const split = splitOfFile(folder, file)
    const imagesFolder = /(train|val|test)\d*/.exec(basename(file))?.[0]
    for (const image of images) {
      const id = textOf(image.id)
      const name = textOf(image.file_name)
      if (id === undefined || name === undefined) {
        problems.add('unreadable rows', `${file}: ${sample(image)}`)
      } else
        yield { image: name, id, captions: captions.get(id) ?? [], split, folder: imagesFolder }
    }
  },
}
