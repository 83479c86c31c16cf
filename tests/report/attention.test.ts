/** The picture of a caption's attention: as many tiles as words, warm where the weights are. */
import test from 'ava'
import sharp from 'sharp'
import { attentionPicture, tileSize } from '../../ts/report/attention.js'

const gap = 12
const label = 30

async function drawn(words: readonly string[], side: number, extra: number, weights: number[]) {
  const data = new Uint8Array(10 * 10 * 3).fill(120)
  const attention = { words, side, extra, weights: Float32Array.from(weights) }
  const png = await attentionPicture({ data, size: 10 }, attention)
  const { data: pixels, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true })
  const at = (x: number, y: number) => {
    const start = (y * info.width + x) * info.channels
    return Array.from(pixels.subarray(start, start + 3))
  }
  return { ...info, at }
}

test('a tile is warm where its word looked, and the first is the image alone', async (t) => {
  // One extra cell, then 2 x 2: the first word looks to the top right, the second to the bottom left.
  const weights = [0.5, 0, 0.4, 0.1, 0, 0.2, 0, 0, 0.8, 0]
  const { at, width, height } = await drawn(['one', '<two>'], 2, 1, weights)
  t.is(width, gap + 3 * (tileSize + gap))
  t.is(height, gap + tileSize + label)
  const left = (tile: number) => gap + tile * (tileSize + gap) + 5
  const right = (tile: number) => left(tile) + tileSize - 10
  const [top, bottom] = [gap + 5, gap + tileSize - 5]
  const warmth = ([red = 0, , blue = 0]: readonly number[]) => red - blue
  for (const place of [left(0), right(0)]) t.deepEqual(at(place, top), [120, 120, 120])
  t.true(warmth(at(right(1), top)) > 80)
  for (const [x, y] of [
    [left(1), top],
    [right(1), bottom],
  ] as const)
    t.true(warmth(at(x, y)) < 5)
  t.true(warmth(at(left(2), bottom)) > 80)
  t.true(warmth(at(right(2), top)) < 5)
})

test('many words take several rows; weights of extra cells alone leave the map dark', async (t) => {
  const words = Array.from({ length: 8 }, (_, i) => `word${i}`)
  const { at, width, height } = await drawn(
    words,
    1,
    1,
    words.flatMap(() => [1, 0]),
  )
  t.is(width, gap + 6 * (tileSize + gap))
  t.is(height, gap + 2 * (tileSize + label))
  const [red, green, blue] = at(gap + tileSize + gap + 80, gap + 80)
  t.deepEqual([red, green, blue], [66, 66, 66])
})
