/** Images made to hurt: few bytes that ask for much memory or time, and files that are no image of the three formats. */
import { crc32, deflateSync } from 'node:zlib'
import sharp from 'sharp'

/** Files by what they are; made once, as some take a second. */
export async function hostileImages(): Promise<ReadonlyMap<string, Buffer>> {
  const plain = sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
  const [jpeg, png, webp] = await Promise.all([
    plain.clone().jpeg().toBuffer(),
    plain.clone().png().toBuffer(),
    plain.clone().webp().toBuffer(),
  ])
  const flat = (side: number) => greyPng(side, side, Buffer.alloc((side + 1) * side))
  const text = Buffer.concat([Buffer.from('key\0\0'), deflateSync(Buffer.alloc(100 * 2 ** 20))])
  return new Map([
    ['a PNG of 8000 x 8000', flat(8000)],
    ['the largest PNG that is taken', flat(7000)],
    ['a PNG of 60000 x 60000 without pixels', greyPng(60_000, 60_000, Buffer.alloc(0))],
    ['a PNG of 2^31 - 1 x 2^31 - 1', greyPng(2 ** 31 - 1, 2 ** 31 - 1, Buffer.alloc(10))],
    ['a PNG of 0 x 0', greyPng(0, 0, Buffer.alloc(0))],
    ['a PNG of 7000 x 7000 with few pixels', greyPng(7000, 7000, Buffer.alloc(1000))],
    ['a PNG whose text unpacks to 100 MiB', withChunk(png, 'zTXt', text)],
    ['a PNG whose colour profile unpacks to 100 MiB', withChunk(png, 'iCCP', text)],
    ['a PNG of 10 frames', withChunk(png, 'acTL', Buffer.from([0, 0, 0, 10, 0, 0, 0, 0]))],
    [
      'a PNG of 5,000 empty chunks',
      Array(5000)
        .fill(0)
        .reduce((all) => withChunk(all, 'tEXt', Buffer.from('a\0')), png),
    ],
    ['a JPEG that says 65535 x 65535', jpegOf(jpeg, 65_535, 65_535)],
    ['a JPEG that says 7000 x 7000', jpegOf(jpeg, 7000, 7000)],
    ['a JPEG that says 0 x 0', jpegOf(jpeg, 0, 0)],
    ['a JPEG of 2,000 comments', jpegWithComments(jpeg, 2000)],
    ['a WebP of 10 frames', await animatedWebp(10)],
    ['a WebP that says 16383 x 16383', webpOf(webp, 16_383, 16_383)],
    ['a GIF of 10 frames', await frames(10).gif().toBuffer()],
    ['a TIFF', await plain.clone().tiff().toBuffer()],
    [
      'an SVG',
      Buffer.from(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>',
      ),
    ],
    ['a PDF', Buffer.from('%PDF-1.7\n%%EOF\n')],
    ['ImageMagick words', Buffer.from('push graphic-context\nimage over 0,0 1,1 "|ls"\n')],
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.from([0xff])],
    ["a JPEG's first bytes and zeros", Buffer.concat([jpeg.subarray(0, 4), Buffer.alloc(2 ** 20)])],
    ['10 MiB and a byte', Buffer.alloc(10 * 2 ** 20 + 1, jpeg)],
  ])
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data])
  const whole = Buffer.alloc(body.length + 8)
  whole.writeUInt32BE(data.length, 0)
  body.copy(whole, 4)
  whole.writeUInt32BE(crc32(body), body.length + 4)
  return whole
}

function greyPng(width: number, height: number, rows: Buffer): Buffer {
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  head[8] = 8
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  const pixels = deflateSync(rows, { level: 1 })
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** Behind IHDR. */
function withChunk(png: Buffer, type: string, data: Buffer): Buffer {
  return Buffer.concat([png.subarray(0, 33), chunk(type, data), png.subarray(33)])
}

function jpegOf(jpeg: Buffer, width: number, height: number): Buffer {
  const bytes = Buffer.from(jpeg)
  const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]))
  bytes.writeUInt16BE(height, frame + 5)
  bytes.writeUInt16BE(width, frame + 7)
  return bytes
}

function jpegWithComments(jpeg: Buffer, count: number): Buffer {
  const comment = Buffer.concat([Buffer.from([0xff, 0xfe, 0x10, 0x02]), Buffer.alloc(0x1000, 'a')])
  return Buffer.concat([
    jpeg.subarray(0, 2),
    ...Array<Buffer>(count).fill(comment),
    jpeg.subarray(2),
  ])
}

/** The sides stand in the key frame's header, 14 bits each. */
function webpOf(webp: Buffer, width: number, height: number): Buffer {
  const bytes = Buffer.from(webp)
  const start = bytes.indexOf(Buffer.from([0x9d, 0x01, 0x2a]))
  bytes.writeUInt16LE(width, start + 3)
  bytes.writeUInt16LE(height, start + 5)
  return bytes
}

function frames(count: number) {
  const raw = { width: 64, height: 64 * count, channels: 3, pageHeight: 64 } as const
  const data = Buffer.alloc(64 * 64 * 3 * count, 'a frame unlike the others')
  return sharp(data, { raw })
}

function animatedWebp(count: number): Promise<Buffer> {
  return frames(count)
    .webp({ loop: 0, delay: Array(count).fill(100) })
    .toBuffer()
}
