/** Batches whose captions are the same as alone, to the last bit. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { loadCaptioner } from '../../ts/captioner.js'
import { decodingOptions } from '../../ts/decoding/options.js'
import { readModelFolder } from '../../ts/models/model-folder.js'
import { createRandom } from '../../ts/random.js'
import { mostAlike } from '../../ts/serve/alike.js'
import { randomModelFolder } from '../models/random-folder.js'

const map = (side: number) => ({ cells: side ** 2, grid: { side, extra: 0 } })
const decoding = (beams: number, samples?: number) =>
  ({ beams, numCaptions: samples ?? 1, sampling: samples && {} }) as ReturnType<
    typeof decodingOptions
  >

test('by rows of an image: captions that are searched for or drawn, and cells of its memory', (t) => {
  const most = (side: number, ...rows: Parameters<typeof decoding>) =>
    mostAlike(map(side), 'cpu', decoding(...rows))
  t.is(most(7, 1), 32)
  t.is(most(7, 3), 10)
  t.is(most(7, 1, 5), 6)
  t.is(most(7, 32), 1)
  t.is(most(7, 33), Number.POSITIVE_INFINITY)
  t.is(most(4, 3), 2)
  t.is(mostAlike({ ...map(14), grid: { side: 5, extra: 0 } }, 'cpu', decoding(3)), 1)
  t.is(mostAlike(map(4), 'cuda', decoding(3)), Number.POSITIVE_INFINITY)
})

test('so many give the same captions, and more do not', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'captioneer-alike-'))
  await randomModelFolder(folder)
  using captioner = await loadCaptioner(folder, { device: 'cpu' })
  const { model, generation, tokenizer } = await readModelFolder(folder)
  const { size } = captioner.image
  const images = Array.from({ length: 24 }, (_, i) => {
    const random = createRandom(i)
    return Uint8Array.from({ length: size * size * 3 }, () => random() * 256)
  })
  for (const options of [{ beam: 1 }, { beam: 4 }, { temperature: 1, numCaptions: 2 }]) {
    const most = mostAlike(model, 'cpu', decodingOptions(options, generation, 12, tokenizer))
    const captions = async (size: number) => {
      const found = []
      for (let i = 0; i < images.length; i += size)
        found.push(...(await captioner.captionDecoded(images.slice(i, i + size), options)))
      return found
    }
    const alone = await captions(1)
    t.deepEqual(await captions(most), alone)
    t.notDeepEqual(await captions(most + 1), alone)
  }
  await rm(folder, { recursive: true })
})
