/** Images of strangers: which are decoded, and alike to data/image.ts; which are refused, and why. */
import ava from 'ava'
import sharp, { type Sharp } from 'sharp'
import { decodeImage } from '../../ts/data/image.js'
import { createRandom } from '../../ts/random.js'
import { blockOtherFormats, createImageDecoder } from '../../ts/serve/served-image.js'

// What is blocked stays so for the whole process.
const test = ava.serial

const options = { size: 16, resize: 'crop' } as const
const decode = createImageDecoder(options)

function picture(): Sharp {
  const random = createRandom(1)
  const data = Uint8Array.from({ length: 40 * 30 * 3 }, () => random() * 256)
  return sharp(data, { raw: { width: 40, height: 30, channels: 3 } })
}

test('JPEG, PNG and WebP come out as they do elsewhere', async (t) => {
  for (const format of ['jpeg', 'png', 'webp'] as const) {
    const bytes = await picture().toFormat(format).toBuffer()
    t.deepEqual(await decode(bytes), await decodeImage(bytes, options), format)
  }
})

test('other formats are refused, and libvips itself has no decoder for them', async (t) => {
  const gif = await picture().gif().toBuffer()
  const others = {
    gif,
    tiff: await picture().tiff().toBuffer(),
    avif: await picture().avif().toBuffer(),
    svg: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    pdf: Buffer.from('%PDF-1.4'),
    nothing: Buffer.alloc(0),
  }
  for (const [name, bytes] of Object.entries(others))
    await t.throwsAsync(
      decode(bytes),
      { code: 'ERR_IMAGE', message: /not a JPEG, PNG or WebP/ },
      name,
    )
  t.is((await sharp(gif).metadata()).format, 'gif')
  const png = await picture().png().toBuffer()
  const jpeg = await picture().jpeg().toBuffer()
  const webp = await picture().webp().toBuffer()
  blockOtherFormats()
  for (const bytes of [gif, others.tiff, others.avif, others.svg])
    await t.throwsAsync(sharp(bytes).metadata())
  for (const bytes of [png, jpeg, webp]) t.is((await decode(bytes)).length, 16 * 16 * 3)
})

test('more than 50 megapixels are refused by the header, damaged files with the reason', async (t) => {
  const create = { width: 7100, height: 7100, channels: 3, background: 'red' } as const
  const large = await sharp({ create }).png({ compressionLevel: 1 }).toBuffer()
  const message = /has 7100 x 7100 pixels of 3 bytes; at most 50 megapixels/
  await t.throwsAsync(decode(large), { code: 'ERR_IMAGE', message })
  // The header alone is enough.
  await t.throwsAsync(decode(large.subarray(0, 5000)), { code: 'ERR_IMAGE', message })
  // 36 megapixels, yet of 8 bytes: more memory than 50 of 4.
  const deep = await sharp({ create: { ...create, width: 6000, height: 6000 } })
    .toColourspace('rgb16')
    .ensureAlpha()
    .png({ compressionLevel: 1 })
    .toBuffer()
  await t.throwsAsync(decode(deep), { code: 'ERR_IMAGE', message: /6000 x 6000 pixels of 8 bytes/ })
  const long = await sharp({ create: { ...create, width: 1, height: 70_000 } })
    .png()
    .toBuffer()
  await t.throwsAsync(decode(long), { code: 'ERR_IMAGE', message: /1 x 70000/ })
  const png = await picture().png().toBuffer()
  for (const end of [9, 40, 500])
    await t.throwsAsync(decode(png.subarray(0, end)), { code: 'ERR_IMAGE', message: /cut off/ })
})

test('many at once, large ones among them, all come out', async (t) => {
  const small = await picture().jpeg().toBuffer()
  const create = { width: 6000, height: 6000, channels: 3, background: 'blue' } as const
  const large = await sharp({ create }).jpeg().toBuffer()
  const files = [large, small, large, small, small.subarray(0, 99), small]
  const results = await Promise.allSettled(files.map(decode))
  t.deepEqual(
    results.map(({ status }) => status === 'fulfilled'),
    [true, true, true, true, false, true],
  )
})
