/** Eight pictures by heart: train() brings the loss near zero, and caption() says each picture's caption word by word. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { caption } from '../../ts/captioner.js'
import { writeScenes } from '../../ts/data/scenes/write.js'
import { readModelFolder } from '../../ts/models/model-folder.js'
import { train } from '../../ts/train/train.js'
import { temporaryFolder } from '../files/temporary-folder.js'

interface Captions {
  readonly images: readonly {
    readonly filename: string
    readonly split: string
    readonly sentences: readonly { readonly raw: string }[]
  }[]
}

test('eight pictures are learned exactly', async (t) => {
  const folder = await temporaryFolder(t)
  await writeScenes(folder, { train: 8, val: 1, seed: 11, size: 64 })
  const path = join(folder, 'dataset_scenes.json')
  const set = JSON.parse(await readFile(path, 'utf8')) as Captions
  // Five sentences for a picture could not all be the one to say.
  const images = set.images.map((image) => ({ ...image, sentences: image.sentences.slice(0, 1) }))
  await writeFile(path, JSON.stringify({ ...set, images }))
  const steps = 120
  const { last, model, skipped } = await train({
    data: folder,
    out: join(folder, 'run'),
    preset: 'tiny',
    device: 'cpu',
    batchSize: 8,
    epochs: steps,
    'validation.every': steps,
    'schedule.warmupSteps': 10,
  })
  t.is(skipped, 0)
  t.true(last.loss < 0.02, `loss ${last.loss}`)
  const { tokenizer } = await readModelFolder(model)
  const learned = images.filter(({ split }) => split === 'train')
  t.is(learned.length, 8)
  for (const { filename, sentences } of learned) {
    const expected = tokenizer.decode(tokenizer.encode(sentences[0]?.raw ?? ''))
    for (const beam of [1, 3]) {
      const { text } = await caption(join(folder, 'images', filename), { model, beam })
      t.is(text, expected, `${filename}, beam ${beam}`)
    }
  }
})
