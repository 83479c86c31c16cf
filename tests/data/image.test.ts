/** Decoding: every kind of picture becomes the same RGB square, every bad one says why. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import test, { type ExecutionContext } from 'ava'
import sharp, { type Sharp } from 'sharp'
import { type DecodeOptions, decodeImage, type ImageInput } from '../../ts/data/image.js'
import { ArgumentError, ImageError } from '../../ts/errors.js'
import { folderOf, grey, plain } from './folder.js'

const squash: DecodeOptions = { size: 4, resize: 'squash' }

function isPlain(
  t: ExecutionContext,
  pixels: Uint8Array,
  colour: number[],
  within: number,
  name: string,
) {
  t.is(pixels.length, 4 * 4 * 3, name)
  const off = pixels.reduce((most, v, i) => Math.max(most, Math.abs(v - (colour[i % 3] ?? 0))), 0)
  t.true(off <= within, `${name}: off by ${off}`)
}

/** Red left, blue right. */
async function redBlue(width: number, height: number): Promise<Sharp> {
  const left = await plain({ r: 255, g: 0, b: 0 }, width / 2, height)
    .png()
    .toBuffer()
  const whole = await plain({ r: 0, g: 0, b: 255 }, width, height)
    .composite([{ input: left, left: 0, top: 0 }])
    .png()
    .toBuffer()
  return sharp(whole)
}

test('every kind of picture comes out as RGB', async (t) => {
  const mid = [128, 128, 128]
  const white = [255, 255, 255]
  const clear = sharp({
    create: { width: 8, height: 6, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0 } },
  })
  const kinds: [string, Sharp, number[], number][] = [
    ['JPEG', plain(grey).jpeg(), mid, 1],
    ['PNG', plain(grey).png(), mid, 0],
    ['WebP', plain(grey).webp(), mid, 1],
    ['GIF', plain(grey).gif(), mid, 1],
    ['TIFF', plain(grey).tiff(), mid, 1],
    ['AVIF', plain(grey).avif(), mid, 1],
    ['greyscale JPEG', plain(grey).greyscale().jpeg(), mid, 1],
    ['greyscale PNG', plain(grey).toColourspace('b-w').png(), mid, 1],
    ['16-bit PNG', plain(grey).toColourspace('rgb16').png(), mid, 1],
    ['16-bit grey PNG', plain(grey).toColourspace('grey16').png(), mid, 1],
    ['palette PNG', plain(grey).png({ palette: true }), mid, 1],
    // Ink to light has no one right answer without a profile.
    ['CMYK JPEG', plain(grey).toColourspace('cmyk').jpeg(), mid, 16],
    ['transparent PNG', clear.clone().png(), white, 0],
    ['transparent grey WebP', clear.clone().greyscale().webp(), white, 1],
  ]
  for (const [name, picture, colour, within] of kinds) {
    const bytes = await picture.toBuffer()
    isPlain(t, await decodeImage(bytes, squash), colour, within, name)
    isPlain(t, await decodeImage(bytes, { size: 4, resize: 'crop' }), colour, within, name)
  }
})

test('squash keeps both halves, crop only the centre, and pixels of the right size stay', async (t) => {
  const red = [255, 0, 0]
  const blue = [0, 0, 255]
  const row = (pixels: Uint8Array) => [...pixels.subarray(0, 12)]
  const centre = await (await redBlue(16, 4)).png().toBuffer()
  const wide = await sharp(centre)
    .extend({ left: 40, right: 40, background: '#00ff00' })
    .png()
    .toBuffer()
  const squashed = row(await decodeImage(centre, squash))
  t.deepEqual([...squashed.slice(0, 3), ...squashed.slice(9)], [...red, ...blue])
  t.deepEqual(row(await decodeImage(wide, squash)).slice(0, 3), [0, 255, 0])
  const cropped = row(await decodeImage(wide, { size: 4, resize: 'crop' }))
  t.deepEqual(cropped, [...red, ...red, ...blue, ...blue])

  const data = Uint8Array.from({ length: 48 }, (_, i) => (i * 37) % 256)
  t.deepEqual(await decodeImage({ data, width: 4, height: 4 }, squash), data)
})

test('EXIF rotation is applied before the resize', async (t) => {
  const bytes = await (await redBlue(32, 16)).withMetadata({ orientation: 6 }).png().toBuffer()
  const pixels = await decodeImage(bytes, squash)
  t.deepEqual([...pixels.subarray(0, 3)], [255, 0, 0])
  t.deepEqual([...pixels.subarray(9, 12)], [255, 0, 0], 'red is on top, to the right edge')
  t.deepEqual([...pixels.subarray(45)], [0, 0, 255])
})

test('of an animation the first frame', async (t) => {
  const frames = await Promise.all(
    [
      { r: 255, g: 0, b: 0 },
      { r: 0, g: 0, b: 255 },
    ].map((c) => plain(c).png().toBuffer()),
  )
  for (const format of ['gif', 'webp'] as const) {
    const bytes = await sharp(frames, { join: { animated: true } })
      .toFormat(format)
      .toBuffer()
    t.is((await sharp(bytes).metadata()).pages, 2)
    isPlain(t, await decodeImage(bytes, squash), [255, 0, 0], 4, format)
  }
})

/** A PNG of the given size, of whose pixels hardly any are there. */
function pngOf(width: number, height: number): Uint8Array {
  const chunk = (type: string, body: Uint8Array): Uint8Array => {
    const named = Buffer.concat([Buffer.from(type), body])
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(body.length)
    sum.writeUInt32BE(crc32(named))
    return Buffer.concat([length, named, sum])
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2], 8)
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', Buffer.alloc(10))])
}

test('bad images: ImageError with the name and the reason', async (t) => {
  const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const
  const photo = sharp({ create: { width: 64, height: 64, channels: 3, background: '#000', noise } })
  const jpeg = await photo.clone().jpeg().toBuffer()
  const zero = Buffer.from(jpeg)
  const frame = zero.indexOf(Buffer.from([0xff, 0xc0]))
  zero.fill(0, frame + 5, frame + 9)
  const half = (bytes: Uint8Array) => bytes.subarray(0, bytes.length / 2)
  const files: Record<string, [Uint8Array, RegExp]> = {
    'empty.jpg': [new Uint8Array(), /it is empty \(0 bytes\); expected a JPEG/],
    'text.jpg': [Buffer.from('hello, this is no image'), /it is not a JPEG, PNG/],
    'drawing.svg': [
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
      /it is not/,
    ],
    'paper.pdf': [Buffer.from('%PDF-1.7\n'), /it is not/],
    'one-byte.png': [Uint8Array.of(0x89), /it is not/],
    'half.jpg': [half(jpeg), /cut off or damaged/],
    'end-missing.jpg': [jpeg.subarray(0, jpeg.length - 40), /cut off or damaged/],
    'half.png': [half(await photo.clone().png().toBuffer()), /cut off or damaged/],
    'half.webp': [half(await photo.clone().webp().toBuffer()), /cut off or damaged/],
    'half.gif': [half(await photo.clone().gif().toBuffer()), /cut off or damaged/],
    'half.tif': [half(await photo.clone().tiff().toBuffer()), /cut off or damaged/],
    '0x0.jpg': [zero, /cut off or damaged/],
    '0x0.png': [pngOf(0, 0), /cut off or damaged/],
    'huge.png': [
      pngOf(50_000, 50_000),
      /it has 50000 x 50000 pixels, more than the 100 megapixels/,
    ],
  }
  const contents = Object.fromEntries(Object.entries(files).map(([name, [bytes]]) => [name, bytes]))
  const folder = await folderOf(t, contents)
  await mkdir(join(folder, 'folder.jpg'))
  for (const [name, [bytes, reason]] of Object.entries(files)) {
    const path = join(folder, name)
    const before = process.memoryUsage().rss
    const error = await t.throwsAsync(decodeImage(path, squash), {
      instanceOf: ImageError,
      code: 'ERR_IMAGE',
      message: reason,
    })
    t.true(process.memoryUsage().rss - before < 200e6, `${name} allocates nothing large`)
    t.true(error.message.startsWith(`reading image "${path}": `), error.message)
    await t.throwsAsync(decodeImage(bytes, squash), {
      instanceOf: ImageError,
      message: new RegExp(`^reading an image of ${bytes.length} bytes: .*${reason.source}`),
    })
  }
  const others: [ImageInput, RegExp][] = [
    [join(folder, 'none.jpg'), /none\.jpg": no such file$/],
    [join(folder, 'folder.jpg'), /folder\.jpg": it is not a file$/],
    [{ data: new Uint8Array(0), width: 0, height: 0 }, /0 x 0 pixels: width and height must be/],
    [
      { data: new Uint8Array(47), width: 4, height: 4 },
      /expected 48 bytes \(RGB, 3 a pixel\), received 47/,
    ],
    [{ data: new Uint8Array(3), width: 50_000, height: 50_000 }, /more than the 100 megapixels/],
  ]
  for (const [input, message] of others) {
    await t.throwsAsync(decodeImage(input, squash), { instanceOf: ImageError, message })
  }
})

test('a file name is never taken for options of the decoder', async (t) => {
  const folder = await folderOf(t, {})
  const path = join(folder, 'photo.jpg[shrink=8]')
  await writeFile(path, await plain(grey).jpeg().toBuffer())
  isPlain(t, await decodeImage(path, squash), [128, 128, 128], 1, path)
})

test('wrong options: ArgumentError', async (t) => {
  const bytes = await plain(grey).png().toBuffer()
  await t.throwsAsync(decodeImage(bytes, { size: 0, resize: 'crop' }), {
    instanceOf: ArgumentError,
    message: 'decodeImage: expected size to be an integer from 1 to 4096, received 0',
  })
  await t.throwsAsync(decodeImage(bytes, { size: 4, resize: 'stretch' as 'crop' }), {
    instanceOf: ArgumentError,
  })
})

test('the event loop turns while images are decoded', async (t) => {
  const large = await plain(grey, 4000, 3000).png().toBuffer()
  let ticks = 0
  const timer = setInterval(() => ticks++, 5)
  await Promise.all(Array.from({ length: 4 }, () => decodeImage(large, squash)))
  clearInterval(timer)
  t.true(ticks >= 5, `${ticks} ticks`)
})
