/** Padded captions: sizes, what stands where, and a loss with gradients that pads do not change. */
import test from 'ava'
import { type HostCaptions, packCaptions, uploadCaptions } from '../../ts/data/batches.js'
import { padCaptions, paddedSizes } from '../../ts/data/pad-captions.js'
import { decoderSchema } from '../../ts/models/config.js'
import type { DecoderParams } from '../../ts/models/decoders/decoder.js'
import { transformerDecoder } from '../../ts/models/decoders/transformer.js'
import { trainingMode } from '../../ts/models/mode.js'
import { namedTensors } from '../../ts/models/params.js'
import { createRandom } from '../../ts/random.js'
import { differentiate } from '../../ts/tape.js'
import { scope, tensor, tensorsIn } from '../../ts/tensor.js'
import { specialIds } from '../../ts/tokenizer/tokenizer.js'
import { device } from '../device.js'
import { unit } from '../fixtures/filler.js'
import { filled } from '../models/parity.js'

const { pad } = specialIds

/** Captions of about Flickr8k's lengths: 11 words on average, a few of more than 20. */
function captions(images: number, each: number, seed: number): HostCaptions {
  const random = createRandom(seed)
  const caption = () =>
    Array.from(
      { length: 3 + Math.floor(5 * (random() + random() + random()) + 16 * random() ** 6) },
      () => 4 + Math.floor(random() * 40),
    )
  const batch = Array.from({ length: images }, () => Array.from({ length: each }, caption))
  return packCaptions(batch, specialIds)
}

test('words keep their places, pads follow the shortest captions and have no target', (t) => {
  for (let seed = 0; seed < 50; seed++) {
    const exact = captions(1 + (seed % 9), 1 + (seed % 5), seed)
    const padded = padCaptions(exact, pad, 52)
    const rows = exact.offsets.length - 1
    t.is(padded.offsets.length, rows + 1)
    t.is(padded.offsets[rows], padded.tokens.length)
    t.is(padded.captionsPerImage, exact.captionsPerImage)
    let longest = 0
    for (let row = 0; row < rows; row++) {
      const [start = 0, end = 0] = exact.offsets.subarray(row, row + 2)
      const [from = 0, to = 0] = padded.offsets.subarray(row, row + 2)
      const words = end - start
      longest = Math.max(longest, to - from)
      t.deepEqual(padded.tokens.subarray(from, from + words), exact.tokens.subarray(start, end))
      t.deepEqual(padded.targets.subarray(from, from + words), exact.targets.subarray(start, end))
      t.true(padded.tokens.subarray(from + words, to).every((id) => id === pad))
      t.true(padded.targets.subarray(from + words, to).every((id) => id === -100))
      t.deepEqual(
        [...padded.positions.subarray(from, to)],
        Array.from({ length: to - from }, (_, i) => i),
      )
    }
    t.true(longest <= padded.longest && padded.longest <= 52)
  }
})

test('a caption as long as the model allows leaves no room, and none is needed', (t) => {
  const words = Array.from({ length: 11 }, () => 7)
  const full = packCaptions([[words], [words]], specialIds)
  const padded = padCaptions(full, pad, 12)
  t.deepEqual(padded.tokens, full.tokens)
  t.is(padded.longest, 12)
})

test('few sizes, few pads', (t) => {
  for (const [images, each, most] of [
    [32, 1, 20],
    [32, 5, 12],
    [128, 5, 8],
  ] as const) {
    const sizes = new Set<string>()
    let exact = 0
    let padded = 0
    for (let seed = 0; seed < 300; seed++) {
      const host = captions(images, each, seed)
      const { tokens, longest } = paddedSizes(host, 52)
      sizes.add(`${tokens} ${longest}`)
      exact += host.tokens.length
      padded += tokens
    }
    t.true(sizes.size <= most, `${images} x ${each}: ${sizes.size} sizes`)
    t.true(padded / exact < 1.04, `${images} x ${each}: ${padded / exact} times the tokens`)
  }
})

test('loss and gradients are those without pads', async (t) => {
  const [images, cells, channels, vocabulary] = [3, 4, 12, 48]
  const config = decoderSchema.parse({
    dim: 24,
    layers: 2,
    heads: 3,
    feedForward: 40,
    dropout: 0,
    attentionDropout: 0,
    activation: 'gelu',
    norm: 'layer',
    preNorm: true,
    tied: true,
    positions: 'learned',
    maxTokens: 52,
  })
  const decoder = transformerDecoder(config, { channels, cells, vocabulary })
  const params = filled(decoder.specs, device) as DecoderParams
  const shape = [images * cells, channels]
  const memory = tensor(Float32Array.from(unit('memory', images * cells * channels)), shape, device)
  const exact = captions(images, 5, 1)
  const padded = padCaptions(exact, pad, config.maxTokens)
  t.true(padded.tokens.length > exact.tokens.length)
  const watched = [...[...namedTensors(params)].map(([, p]) => p), memory]
  const results = [exact, padded].map((host) =>
    scope(() => {
      const text = {
        ...uploadCaptions(host, device),
        denominator: tensor([exact.tokens.length], [1], device),
      }
      const mode = trainingMode(undefined, 0, new Map())
      const [loss, grads] = differentiate(watched, () =>
        decoder.loss(params, memory, text, { labelSmoothing: 0.1 }, mode),
      )
      return [loss, ...grads]
    }),
  )
  const [without = [], withPads = []] = await Promise.all(
    results.map((tensors) =>
      Promise.all(tensors.map(async (found) => (await found?.readFloats()) ?? new Float32Array())),
    ),
  )
  t.is(without.length, watched.length + 1)
  for (const [i, expected] of without.entries()) {
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const off = expected.reduce(
      (most, value, j) => Math.max(most, Math.abs(value - (withPads[i]?.[j] ?? Number.NaN))),
      0,
    )
    t.true(off <= 2e-6 * Math.max(1, largest) && largest > 0, `${i}: off by ${off} of ${largest}`)
  }
  for (const used of tensorsIn({ params, memory, results })) used.release()
})
