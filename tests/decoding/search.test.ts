/** The search against a plain one: models that look at the last word and its place, and one that looks at all of them. */
import ava, { type ExecutionContext } from 'ava'
import type { FoundCaption, NextTokens } from '../../ts/decoding/decoding.js'
import { searchCaptions } from '../../ts/decoding/search.js'
import { createRandom } from '../../ts/random.js'
import { empty, memory, scope, type Tensor, tensor } from '../../ts/tensor.js'
import { device } from '../device.js'
import { logSoftmax, type PlainCaption, type PlainOptions, plainSearch } from './plain-search.js'
import { bos, eos, logitsOf, onDevice, randomModel } from './table-model.js'

// One after another, because each search counts the tensors alive.
const test = ava.serial

interface Case extends PlainOptions {
  readonly vocabulary: number
  readonly images: number
  readonly seed: number
}

const usual: Case = {
  vocabulary: 50,
  images: 3,
  beams: 3,
  maxTokens: 8,
  minTokens: 1,
  lengthPenalty: 1,
  eos,
  forbidden: [bos, 2],
  seed: 1,
}

async function search(next: NextTokens, options: Case & { numCaptions?: number }) {
  const before = memory(device).liveTensors
  const found = await searchCaptions(next, { ...options, device, bos })
  if (memory(device).liveTensors !== before) throw new Error('the search leaked tensors')
  return found
}

function same(t: ExecutionContext, found: FoundCaption[] | undefined, expected: PlainCaption[]) {
  t.deepEqual(
    found?.map(({ tokens, finished }) => ({ tokens, finished })),
    expected.map(({ tokens, finished }) => ({ tokens: [...tokens], finished })),
  )
  for (const [i, { score }] of expected.entries())
    t.true(Math.abs((found?.[i]?.score ?? Number.NaN) - score) < 1e-4 * (1 + Math.abs(score)))
}

async function agrees(t: ExecutionContext, options: Case, eosBonus?: number) {
  const model = randomModel(options, eosBonus)
  const found = await search(onDevice(model, options), { ...options, numCaptions: options.beams })
  for (const [image, captions] of found.entries())
    same(t, captions, plainSearch(logitsOf(model, options, image), options).slice(0, options.beams))
  return found
}

for (const beams of [1, 3, 5])
  for (const lengthPenalty of [0, 0.6, 1, 2])
    test(`agrees with a plain search: ${beams} beams, length penalty ${lengthPenalty}`, async (t) => {
      for (const [seed, vocabulary] of [4, 31, 33, 130].entries())
        await agrees(t, { ...usual, beams, lengthPenalty, seed, vocabulary })
    })

test('agrees on a large vocabulary and many beams', async (t) => {
  await agrees(t, { ...usual, vocabulary: 400, images: 2, beams: 32 })
})

test('greedy takes the most probable word each time', async (t) => {
  const options = { ...usual, beams: 1, maxTokens: 20, seed: 5, forbidden: [] }
  const model = randomModel(options, 0)
  const found = await search(onDevice(model, options), options)
  for (const [image, captions] of found.entries()) {
    const logitsAfter = logitsOf(model, options, image)
    const words: number[] = []
    while (words.length < options.maxTokens) {
      const row = logitsAfter(words)
      if (words.length === 0) row[eos] = Number.NEGATIVE_INFINITY
      const best = row.indexOf(Math.max(...row))
      if (best === eos) break
      words.push(best)
    }
    t.deepEqual(captions[0]?.tokens, words)
  }
})

test('with a beam for every caption the best of all captions is found', async (t) => {
  const options = { ...usual, vocabulary: 5, beams: 64, maxTokens: 4, images: 2, forbidden: [bos] }
  const model = randomModel(options, 0)
  const found = await search(onDevice(model, options), options)
  for (const [image, captions] of found.entries()) {
    const logitsAfter = logitsOf(model, options, image)
    let best = Number.NEGATIVE_INFINITY
    const extend = (words: readonly number[], score: number) => {
      const row = logSoftmax(logitsAfter(words))
      const ended = (score + (row[eos] ?? 0)) / (words.length + 1)
      if (words.length >= 1) best = Math.max(best, ended)
      if (words.length + 1 === options.maxTokens) return
      for (const word of [2, 3, 4]) extend([...words, word], score + (row[word] ?? 0))
    }
    extend([], 0)
    t.true(Math.abs((captions[0]?.score ?? 0) - best) < 1e-5)
  }
})

test('a search without a finished caption gives the best unfinished ones', async (t) => {
  const found = await agrees(t, usual, -1000)
  for (const captions of found) {
    t.is(captions.length, usual.beams)
    t.true(captions.every(({ tokens, finished }) => !finished && tokens.length === 8))
  }
})

test('finished captions come first, unfinished ones fill up', async (t) => {
  const found = await agrees(t, { ...usual, beams: 5, maxTokens: 2, images: 8, seed: 3 }, 1)
  const kinds = found.map((captions) => captions.map(({ finished }) => finished))
  t.true(kinds.some((k) => k.includes(true) && k.includes(false)))
})

test('no caption is shorter than minTokens, and none is empty by default', async (t) => {
  const found = await agrees(t, { ...usual, minTokens: 5 }, 20)
  t.true(found.flat().every(({ tokens }) => tokens.length >= 5))
  const options = { ...usual, seed: 2 }
  const model = randomModel(options, 20)
  const { minTokens: _, ...defaults } = options
  const short = await searchCaptions(onDevice(model, options), { ...defaults, device, bos })
  t.true(short.flat().every(({ tokens }) => tokens.length === 1))
})

test('forbidden tokens never appear, however probable', async (t) => {
  const options = { ...usual, forbidden: [bos, 3, 4, 5] }
  const model = randomModel(options)
  for (const table of model.tables)
    for (let i = 0; i < table.length; i++) if ([3, 4, 5].includes(i % 50)) table[i] = 9
  const found = await search(onDevice(model, options), { ...options, numCaptions: 3 })
  t.false(found.flat().some(({ tokens }) => tokens.some((id) => options.forbidden.includes(id))))
  for (const [image, captions] of found.entries())
    same(t, captions, plainSearch(logitsOf(model, options, image), options).slice(0, 3))
})

test('equal scores: the lower beam first, then the lower token', async (t) => {
  const options = { ...usual, vocabulary: 6, images: 1, maxTokens: 4, lengthPenalty: 0 }
  const model = { tables: [new Float32Array(36)], places: new Float32Array(24) }
  const found = await search(onDevice(model, options), { ...options, numCaptions: 3 })
  same(t, found[0], plainSearch(() => [0, 0, 0, 0, 0, 0], options).slice(0, 3))
})

for (const [vocabulary, beams, scale] of [
  [50_001, 2, 4],
  [3000, 40, 4],
  [3000, 3, 0],
  [9000, 1, 0],
] as const)
  test(`rows of ${vocabulary} words, ${beams} beams, logits up to ${scale}`, async (t) => {
    const options = { ...usual, vocabulary, beams, images: 1, maxTokens: 3 }
    const random = createRandom(vocabulary)
    const places = Array.from({ length: options.maxTokens }, () =>
      Float32Array.from({ length: vocabulary }, () => scale * random()),
    )
    const logitsAt = (position: number) => places[position] ?? new Float32Array()
    const next: NextTokens = (_, position) => {
      const rows = Array.from({ length: beams }, () => Array.from(logitsAt(position))).flat()
      return tensor(rows, [beams, vocabulary], device)
    }
    const found = await search(next, { ...options, numCaptions: beams })
    const expected = plainSearch((words) => Array.from(logitsAt(words.length)), options)
    same(t, found[0], expected.slice(0, beams))
  })

test('more beams than words', async (t) => {
  await agrees(t, { ...usual, vocabulary: 4, beams: 7, maxTokens: 5 })
})

test('the search stops when no image can improve', async (t) => {
  const options = { ...usual, maxTokens: 100 }
  const next = onDevice(randomModel(options, 30), options)
  let steps = 0
  await search((...args) => {
    steps++
    return next(...args)
  }, options)
  t.true(steps <= 8, `${steps} steps`)
})

test('ancestors lead to the keys and values of each beam', async (t) => {
  const options = { ...usual, vocabulary: 12, images: 2, beams: 4, maxTokens: 7, seed: 11 }
  const { vocabulary, images, beams, maxTokens } = options
  const [heads, channels] = [2, 8]
  const random = createRandom(4)
  const numbers = (n: number, scale: number) =>
    Float32Array.from({ length: n }, () => scale * (random() - 0.5))
  const table = numbers(vocabulary * 3 * channels, 6)
  const places = numbers(maxTokens * 3 * channels, 3)
  const output = numbers(vocabulary * channels, 12)

  // One layer of self-attention in float64. All images are alike.
  const logitsAfter = (words: readonly number[]): number[] => {
    const fed = [bos, ...words]
    const at = (p: number, column: number) =>
      (table[(fed[p] ?? 0) * 3 * channels + column] ?? 0) + (places[p * 3 * channels + column] ?? 0)
    const last = fed.length - 1
    const size = channels / heads
    const mixed = Array.from({ length: channels }, (_, c) => {
      const head = Math.floor(c / size)
      const weights = fed.map((_, p) => {
        let sum = 0
        for (let d = head * size; d < (head + 1) * size; d++)
          sum += at(last, d) * at(p, channels + d)
        return Math.exp(sum / Math.sqrt(size))
      })
      const total = weights.reduce((a, b) => a + b, 0)
      return weights.reduce((sum, w, p) => sum + (w / total) * at(p, 2 * channels + c), 0)
    })
    return Array.from({ length: vocabulary }, (_, v) =>
      mixed.reduce((sum, x, c) => sum + x * (output[v * channels + c] ?? 0), 0),
    )
  }

  const rows = images * beams
  const cache = () => empty([rows, maxTokens, channels], 'float32', device)
  const held = scope(() => ({
    keys: cache(),
    values: cache(),
    table: tensor(table, [vocabulary, 3 * channels], device),
    places: tensor(places, [maxTokens, 3 * channels], device),
    output: tensor(output, [vocabulary, channels], device),
  }))
  const next: NextTokens = (tokens, position, ancestors) => {
    const k = device.kernels
    const qkv = empty([rows, 3 * channels], 'float32', device)
    const positions = tensor(new Int32Array(rows).fill(position), [rows], device)
    k.embedding(qkv, tokens, positions, held.table, held.places, 1)
    const mixed = empty([rows, channels], 'float32', device)
    k.attendCache(mixed, held.keys, held.values, qkv, ancestors, heads, position)
    const logits = empty([rows, vocabulary], 'float32', device)
    k.linear(logits, undefined, mixed, held.output, undefined, undefined, 0)
    return logits
  }
  const found = await search(next, { ...options, numCaptions: beams })
  const expected = plainSearch(logitsAfter, options).slice(0, beams)
  for (const captions of found) same(t, captions, expected)
  for (const x of Object.values(held) as Tensor[]) x.release()
})

test('numbers that are not finite end in an error, not in an empty caption', async (t) => {
  const options = { ...usual, images: 1 }
  const model = { ...randomModel(options), tables: [new Float32Array(2500).fill(Number.NaN)] }
  const error = await t.throwsAsync(search(onDevice(model, options), options))
  t.regex(error?.message ?? '', /caption: image 1 of 1 has no possible caption/)
})

test('options out of range and logits that do not fit', async (t) => {
  const next = onDevice(randomModel(usual), usual)
  const wrong: [Partial<Case> & { numCaptions?: number }, string][] = [
    [{ maxTokens: 0 }, 'caption: expected maxTokens to be an integer from 1 to 512, received 0'],
    [{ beams: 2.5 }, 'caption: expected beams to be an integer from 1 to 64, received 2.5'],
    [{ minTokens: 9 }, 'caption: expected minTokens to be an integer from 1 to 8, received 9'],
    [{ numCaptions: 4 }, 'caption: expected numCaptions to be an integer from 1 to 3, received 4'],
    [
      { lengthPenalty: Number.NaN },
      'caption: expected lengthPenalty to be a finite number, received NaN',
    ],
  ]
  for (const [change, message] of wrong) {
    const promise = searchCaptions(next, { ...usual, ...change, device, bos })
    await t.throwsAsync(promise, { message })
  }
  await t.throwsAsync(searchCaptions(next, { ...usual, images: 4, device, bos }), {
    message: /the model gave \[9, 50\] float32 as logits; expected float32 \[12, V\]/,
  })
})
