/** Captioning batch after batch: captured batches give what eager ones give, at any order, and free their memory. */
import ava from 'ava'
import { generationSchema } from '../../ts/decoding/generation.js'
import type { CaptionOptions } from '../../ts/decoding/options.js'
import { type CaptionLoop, createCaptionLoop } from '../../ts/models/caption-loop.js'
import type { DecoderParams } from '../../ts/models/decoders/decoder.js'
import { encodePixels, pixelInput } from '../../ts/models/inference.js'
import { dropFolds, type FoldCache } from '../../ts/models/mode.js'
import { buildModel } from '../../ts/models/model.js'
import { synchronize } from '../../ts/native.js'
import { createRandom } from '../../ts/random.js'
import { memory, type Tensor } from '../../ts/tensor.js'
import { specialIds } from '../../ts/tokenizer/tokenizer.js'
import { trainWordTokenizer } from '../../ts/tokenizer/word.js'
import { resolveConfig } from '../../ts/train/resolve-config.js'
import { createWeights, releaseWeights } from '../../ts/train/weights.js'
import { device } from '../device.js'

// One after another, because each counts the tensors alive.
const test = ava.serial

const config = resolveConfig({
  preset: 'tiny',
  overrides: {
    'data.path': '.',
    model: { image: { size: 32 }, decoder: { dim: 32, layers: 2, heads: 4, feedForward: 64 } },
  },
})
const words = Array.from({ length: 60 }, (_, i) => `word${i}`)
const tokenizer = trainWordTokenizer(words)
const model = buildModel(config.model, tokenizer.vocabularySize)

function pictures(count: number, seed: number) {
  const random = createRandom(seed)
  const bytes = Uint8Array.from({ length: count * 32 * 32 * 3 }, () => random() * 256)
  return { count, inputs: { images: pixelInput(model, bytes) } }
}

/** Two loops over the same weights; `made` counts how often a part of a batch was queued by JavaScript. */
async function withLoops(
  body: (eager: CaptionLoop, captured: CaptionLoop, made: () => number) => Promise<void>,
): Promise<number> {
  await synchronize(device)
  const before = memory(device)
  const weights = createWeights(model, 0, new Map(), 3, device)
  // Larger weights than a model begins with, so that pictures have captions of their own.
  const random = createRandom(7)
  for (const t of weights.trained)
    t.write(Float32Array.from({ length: t.size }, () => 2 * random() - 1))
  const { bias } = (weights.params.decoder as DecoderParams & { output: { bias: Tensor } }).output
  bias.write(Float32Array.from({ length: bias.size }, (_, id) => (id === specialIds.eos ? 1 : 0)))
  const folds: FoldCache = new Map()
  let made = 0
  const parts = {
    model,
    params: weights.params,
    tokenizer,
    device,
    generation: generationSchema.parse({ maxTokens: 20 }),
    memory: ({ images }: { readonly images?: Tensor | undefined }) => {
      made++
      return encodePixels(model, weights.params, images as Tensor, folds)
    },
  }
  const [eager, captured] = [createCaptionLoop(parts, false), createCaptionLoop(parts, true)]
  await body(eager, captured, () => made)
  captured.dispose()
  eager.dispose()
  dropFolds(folds)
  releaseWeights(weights)
  await synchronize(device)
  const after = memory(device)
  return after.liveTensors - before.liveTensors + (after.liveBytes - before.liveBytes)
}

const ways: readonly CaptionOptions[] = [
  { beam: 1 },
  { beam: 3, numCaptions: 3 },
  { beam: 3, lengthPenalty: 0.5, minTokens: 4, maxTokens: 10 },
  { temperature: 1.5, topK: 30, topP: 0.95, numCaptions: 2, maxTokens: 10 },
  { temperature: 2, typicalP: 0.8, tau: 0.5, repetitionPenalty: 1.3, maxTokens: 8 },
  { beam: 2, noRepeatNgram: 2, frequencyPenalty: 1, prefix: 'word3 word5', maxTokens: 10 },
]

test('captured batches give the captions of eager ones, whatever their order', async (t) => {
  const left = await withLoops(async (eager, captured, made) => {
    const lengths = new Set<number>()
    for (let round = 0; round < 6; round++)
      for (const [i, way] of ways.entries())
        for (const count of [4, 1 + round]) {
          const images = pictures(count, 10 * round + i)
          const options = { ...way, seed: round }
          const expected = await eager.captions(images, options)
          const before = made()
          t.deepEqual(await captured.captions(images, options), expected)
          if (round >= 3 && count === 4) t.true(made() <= before + 1, 'no new recording every time')
          for (const [best] of expected) lengths.add(best?.tokens.length ?? 0)
        }
  })
  t.is(left, 0, 'nothing is left')
})

test('a prefix begins every caption, and another of the same length takes the same graph', async (t) => {
  const left = await withLoops(async (eager, captured, made) => {
    const images = pictures(3, 4)
    for (const [i, prefix] of [
      'word3 word5',
      'word7 word2',
      'word9 word9',
      'word1 word0',
    ].entries()) {
      const options = { beam: 3, numCaptions: 2, minTokens: 3, prefix }
      const found = await captured.captions(images, options)
      t.true(found.flat().every(({ text }) => text.startsWith(`${prefix} `)))
      const before = made()
      t.is(before, 2 * i - Math.max(0, i - 1) + 1)
      t.deepEqual(await eager.captions(images, options), found)
    }
    await t.throwsAsync(captured.captions(images, { prefix: 'word3 zebra' }), {
      message: /"zebra" is not in its vocabulary/,
    })
  })
  t.is(left, 0)
})

for (const way of [...ways, { beam: 1, prefix: 'word4' }, { topK: 20, seed: 3, minTokens: 6 }])
  test(`a stream ends with the whole result: ${JSON.stringify(way)}`, async (t) => {
    const left = await withLoops(async (eager) => {
      for (let i = 0; i < 3; i++) {
        const image = pictures(1, 30 + i)
        const [expected] = await eager.captions(image, way)
        const texts: string[] = []
        const stream = eager.stream(image, way)
        for (;;) {
          const { done, value } = await stream.next()
          if (done) {
            t.deepEqual(value, expected)
            break
          }
          t.is(value.text, tokenizer.decode(value.tokens))
          texts.push(value.text)
        }
        t.true(texts.length > 0)
        if ((way.beam ?? 1) > 1 || way.numCaptions) continue
        for (const [n, text] of texts.entries()) {
          t.is(text.split(' ').length, n + 1)
          t.true(text.startsWith(texts[n - 1] ?? ''))
        }
        t.is(texts.at(-1), expected?.[0]?.text)
      }
    })
    t.is(left, 0)
  })

test('a greedy stream shows no word after the end', async (t) => {
  const left = await withLoops(async (eager) => {
    // Without words to say again the end comes sooner or later.
    const options = { beam: 1, noRepeatNgram: 1, maxTokens: 40 }
    let endings = 0
    for (let seed = 0; seed < 3; seed++) {
      const image = pictures(1, seed)
      const [[expected] = []] = await eager.captions(image, options)
      let last = ''
      for await (const { text } of eager.stream(image, options)) last = text
      t.is(last, expected?.text ?? '')
      if ((expected?.tokens.length ?? 0) < options.maxTokens) endings++
    }
    t.true(endings > 0, 'a caption ends before the longest')
  })
  t.is(left, 0)
})

test('a stream that is left early frees everything', async (t) => {
  const left = await withLoops(async (eager) => {
    const options = { beam: 2, minTokens: 10 }
    for await (const { tokens } of eager.stream(pictures(1, 1), options)) {
      t.is(tokens.length, 1)
      break
    }
    await eager.stream(pictures(1, 1), options).return([])
  })
  t.is(left, 0)
})

test('from the third batch on JavaScript queues no kernel', async (t) => {
  const left = await withLoops(async (_, captured, made) => {
    for (let i = 0; i < 5; i++) {
      await captured.captions(pictures(3, i), { beam: 2 })
      t.is(made(), Math.min(i + 1, 2))
    }
  })
  t.is(left, 0)
})

test('batches that overlap in time do not mix', async (t) => {
  const left = await withLoops(async (eager, captured) => {
    const options = { beam: 3 }
    for (let i = 0; i < 2; i++) await captured.captions(pictures(2, i), options)
    const batches = Array.from({ length: 6 }, (_, i) => pictures(2, 20 + i))
    const together = await Promise.all(batches.map((batch) => captured.captions(batch, options)))
    for (const [i, batch] of batches.entries())
      t.deepEqual(together[i], await eager.captions(batch, options))
  })
  t.is(left, 0)
})

test('samples depend on the seed and the place of an image in the request, not on its batch', async (t) => {
  const left = await withLoops(async (eager, captured) => {
    const options = { temperature: 1.5, topP: 0.95, numCaptions: 2, maxTokens: 10 }
    const batch = pictures(4, 3)
    const together = await eager.captions(batch, options)
    const { data } = batch.inputs.images
    const size = data.length / 4
    const single = (i: number) => {
      const bytes = Uint8Array.from(data.subarray(i * size, (i + 1) * size))
      return { count: 1, inputs: { images: pixelInput(model, bytes) } }
    }
    for (let i = 0; i < 4; i++) {
      const [alone] = await captured.captions(single(i), options, [i])
      t.deepEqual(
        alone?.map(({ tokens }) => tokens),
        together[i]?.map(({ tokens }) => tokens),
      )
    }
    t.notDeepEqual(await captured.captions(single(0), options, [1]), [together[0]])
    t.notDeepEqual(await captured.captions(batch, { ...options, seed: 1 }), together)
  })
  t.is(left, 0)
})

test('graphs that are disposed while at work are freed when it is done', async (t) => {
  const left = await withLoops(async (eager, captured) => {
    const [batch, options] = [pictures(2, 5), { beam: 2 }]
    for (let i = 0; i < 2; i++) await captured.captions(batch, options)
    const late = captured.captions(batch, options)
    captured.dispose()
    t.deepEqual(await late, await eager.captions(batch, options))
  })
  t.is(left, 0)
})
