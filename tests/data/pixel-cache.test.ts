/** The cache keeps what fits, decodes each image once, and never exceeds its bytes. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { CaptionedImage } from '../../ts/data/dataset.js'
import { createPixelCache } from '../../ts/data/pixel-cache.js'
import { ArgumentError, ImageError } from '../../ts/errors.js'
import { folderOf, plain } from './folder.js'

const bytes = 4 * 4 * 3

async function shades(t: ExecutionContext, count: number): Promise<CaptionedImage[]> {
  const files: Record<string, Uint8Array> = {}
  for (let i = 0; i < count; i++)
    files[`${i}.png`] = await plain({ r: i, g: i, b: i }).png().toBuffer()
  const folder = await folderOf(t, files)
  return Object.keys(files).map((id) => ({
    id,
    path: join(folder, id),
    captions: ['a shade'],
    split: 'train',
  }))
}

test('after the first epoch nothing is decoded again: the files may be gone', async (t) => {
  const images = await shades(t, 20)
  const cache = createPixelCache({ size: 4, resize: 'squash', maxBytes: 20 * bytes })
  t.is(cache.prefetch(images), 20)
  t.is(cache.prefetch(images), 0, 'none is taken twice')
  const first = await Promise.all(images.map((image) => cache.get(image)))
  t.is(cache.keptBytes(), 20 * bytes)
  for (const { path } of images) await rm(path)
  for (const [i, image] of images.entries()) {
    const pixels = await cache.get(image)
    t.true(pixels === first[i])
    t.is(pixels[0], i)
  }
})

test('what does not fit is decoded again; the bytes stay within the limit', async (t) => {
  const images = await shades(t, 10)
  const cache = createPixelCache({ size: 4, resize: 'squash', maxBytes: 6 * bytes + 1 })
  for (const image of images) await cache.get(image)
  t.is(cache.keptBytes(), 6 * bytes)
  for (const { path } of images) await rm(path)
  for (const [i, image] of images.entries()) {
    if (i < 6) t.is((await cache.get(image))[0], i)
    else await t.throwsAsync(cache.get(image), { instanceOf: ImageError })
  }
})

test('prefetched images that do not fit wait for their one get, a bounded number of them', async (t) => {
  const images = await shades(t, 10)
  const cache = createPixelCache({ size: 4, resize: 'squash', maxBytes: 2 * bytes, ahead: 3 })
  t.is(cache.prefetch(images), 5)
  t.is(cache.keptBytes(), 2 * bytes)
  const third = images[2] as CaptionedImage
  const both = await Promise.all([cache.get(third), cache.get(third)])
  t.is(both[0], both[1], 'two callers at once share one decoding')
  t.not(await cache.get(third), both[0], 'it was not kept')
  t.is(cache.prefetch(images), 1, 'the place of the one taken is free again')
})

test('a broken image rejects each time, holds no bytes, and a prefetch of it harms nobody', async (t) => {
  const [good, other] = (await shades(t, 2)) as [CaptionedImage, CaptionedImage]
  const broken: CaptionedImage = { ...good, id: 'gone', path: `${good.path}.gone` }
  const cache = createPixelCache({ size: 4, resize: 'squash', maxBytes: 2 * bytes })
  cache.prefetch([broken])
  for (let i = 0; i < 2; i++) await t.throwsAsync(cache.get(broken), { instanceOf: ImageError })
  t.is(cache.keptBytes(), 0)
  await Promise.all([cache.get(good), cache.get(other)])
  t.is(cache.keptBytes(), 2 * bytes)
  t.throws(() => createPixelCache({ size: 4, resize: 'squash', maxBytes: -1 }), {
    instanceOf: ArgumentError,
  })
})
