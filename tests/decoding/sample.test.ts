/** Sampling against plain float64: what may be drawn, how often, and that nothing but a row's own seed and logits counts. */
import ava from 'ava'
import { capture } from '../../ts/capture.js'
import { type SampleOptions, sampleCaptions, sampleSeeds } from '../../ts/decoding/sample.js'
import { searchCaptions } from '../../ts/decoding/search.js'
import { createRandom } from '../../ts/random.js'
import { memory, scope, type Tensor, tensor, tensorsIn, unscoped, zeros } from '../../ts/tensor.js'
import { cpu, device } from '../device.js'
import { type PlainSampling, plainChoices } from './plain-sample.js'
import { logSoftmax } from './plain-search.js'
import { bos, eos, onDevice, randomModel } from './table-model.js'

// One after another, because some count the tensors alive.
const test = ava.serial

const infinity = Number.POSITIVE_INFINITY
const all: PlainSampling = { temperature: 1, topK: 0, topP: 1 }

interface Step extends PlainSampling {
  readonly seeds: Int32Array
  readonly position?: number
  readonly minTokens?: number
  readonly on?: typeof device
}

/** Inputs and state of one step of rows of logits, of which every row is live. */
function stepOf(rows: readonly ArrayLike<number>[], { seeds, forbidden, on = device }: Step) {
  const count = rows.length
  const vocabulary = rows[0]?.length ?? 0
  const flat = new Float32Array(count * vocabulary)
  for (const [r, row] of rows.entries()) flat.set(row, r * vocabulary)
  return {
    logits: tensor(flat, [count, vocabulary], on),
    seeds: tensor(seeds, [count, 2], on),
    ...(forbidden && { forbidden: tensor(Int32Array.from(forbidden), [forbidden.length], on) }),
    tokens: zeros([count], 'int32', on),
    sequences: zeros([count, 4], 'int32', on),
    scores: zeros([count], 'float32', on),
    lengths: zeros([count], 'int32', on),
    done: zeros([count], 'int32', on),
  }
}

type StepTensors = ReturnType<typeof stepOf>

function queue(on: StepTensors, options: Step): void {
  const { position = 1, minTokens = 1, temperature, topK, topP } = options
  const { typicalP = 1, mostTypical = 0 } = options
  on.tokens.device.kernels.sampleStep(
    on.tokens,
    on.sequences,
    on.scores,
    on.lengths,
    on.done,
    on.logits,
    on.seeds,
    on.forbidden,
    position,
    eos,
    minTokens,
    temperature,
    topK,
    topP,
    typicalP,
    mostTypical,
  )
}

async function results({ tokens, sequences, scores, lengths, done }: StepTensors) {
  const read = async (t: Tensor) => Array.from(await t.read())
  return {
    tokens: await read(tokens),
    sequences: await read(sequences),
    scores: await read(scores),
    lengths: await read(lengths),
    done: await read(done),
  }
}

async function drawn(rows: readonly ArrayLike<number>[], options: Step) {
  const on = unscoped(() => stepOf(rows, options))
  queue(on, options)
  const found = await results(on)
  for (const t of tensorsIn(on)) t.release()
  return found
}

const seedsOf = (count: number, seed = 1) => sampleSeeds(seed, [...Array(count).keys()], 1)

function logitsOf(vocabulary: number, seed: number, scale = 6): Float32Array {
  const random = createRandom(seed)
  return Float32Array.from({ length: vocabulary }, () => scale * (random() + random() - 1))
}

const times = (count: number, row: ArrayLike<number>) => Array.from({ length: count }, () => row)

for (const [name, options] of Object.entries<PlainSampling>({
  'temperature 1': all,
  'temperature 0.5': { ...all, temperature: 0.5 },
  'temperature 3': { ...all, temperature: 3 },
  'top-k 5': { ...all, topK: 5 },
  'top-p 0.7': { ...all, topP: 0.7 },
  'temperature 2, top-k 8, top-p 0.8': { temperature: 2, topK: 8, topP: 0.8 },
  'typical-p 0.6': { ...all, typicalP: 0.6 },
  'the 9 most typical': { ...all, temperature: 2, mostTypical: 9 },
  'temperature 2, top-p 0.9, typical-p 0.8': { temperature: 2, topK: 0, topP: 0.9, typicalP: 0.8 },
  'forbidden words': { ...all, forbidden: [0, 2, 7, 40] },
}))
  test(`frequencies by a chi-square test: ${name}`, async (t) => {
    const count = 4000
    const row = logitsOf(41, 5)
    const { tokens } = await drawn(times(count, row), {
      ...options,
      seeds: seedsOf(count),
      on: cpu,
    })
    const choices = plainChoices(row, options)
    t.true(tokens.every((token) => choices.has(token)))
    // Rare ones together, so that every cell expects at least five.
    let [sum, cells, rare, expectedRare] = [0, 0, 0, 0]
    for (const [token, probability] of choices) {
      const expected = count * probability
      const seen = tokens.filter((other) => other === token).length
      if (expected < 5) {
        rare += seen
        expectedRare += expected
      } else {
        sum += (seen - expected) ** 2 / expected
        cells++
      }
    }
    if (expectedRare > 1) {
      sum += (rare - expectedRare) ** 2 / expectedRare
      cells++
    }
    // Mean and three standard deviations of chi-square with so many degrees of freedom.
    const freedom = cells - 1
    t.true(sum < freedom + 3 * Math.sqrt(2 * freedom), `chi-square ${sum} of ${freedom}`)
  })

for (const [vocabulary, count] of [
  [1, 2],
  [31, 6],
  [33, 6],
  [128, 6],
  [2048, 3],
  [2052, 2],
  [9001, 2],
  [50_001, 2],
] as const)
  test(`the CPU's draws, ${vocabulary} words`, async (t) => {
    const rows = Array.from({ length: count }, (_, r) => logitsOf(vocabulary, 100 + r, 4 + 3 * r))
    const forbidden = vocabulary > 3 ? [0, 2, 3] : []
    for (const options of [
      { ...all, temperature: 1.7 },
      { ...all, topK: 7 },
      { temperature: 1.3, topK: 40, topP: 0.8 },
      { ...all, temperature: 2, typicalP: 0.5 },
      { ...all, temperature: 2, topP: 0.9, typicalP: 0.9, mostTypical: 5 },
    ]) {
      const step = { ...options, ...(forbidden.length && { forbidden }), seeds: seedsOf(count) }
      const expected = await drawn(rows, { ...step, on: cpu })
      const found = await drawn(rows, step)
      t.deepEqual({ ...found, scores: [] }, { ...expected, scores: [] })
      for (const [r, row] of rows.entries()) {
        const token = expected.tokens[r] ?? 0
        t.true(plainChoices(row, { ...options, forbidden }).has(token))
        const score = logSoftmax(Array.from(row))[token] ?? 0
        for (const { scores } of [found, expected])
          t.true(Math.abs((scores[r] ?? Number.NaN) - score) < 2e-5 * (1 + Math.abs(score)))
      }
    }
  })

test('what is kept is exact: hot draws meet every kept word and no other', async (t) => {
  const vocabulary = 2100
  const count = 60
  const row = logitsOf(vocabulary, 9)
  const near = Float32Array.from({ length: vocabulary }, (_, i) => 1 + (i % 977) * 2 ** -22)
  const ties = Float32Array.from({ length: vocabulary }, (_, i) => (i % 5 === 3 ? 2 : 1))
  const zeroes = Float32Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 0 : -0))
  const few = Float32Array.from({ length: 40 }, (_, i) => (i < 30 ? -infinity : i))
  for (const [logits, options] of [
    [row, { temperature: 100, topK: 4, topP: 1 }],
    [near, { temperature: 100, topK: 5, topP: 1 }],
    [ties, { temperature: 1, topK: 6, topP: 1, forbidden: [3, 13] }],
    [zeroes, { temperature: 1, topK: 3, topP: 1 }],
    [zeroes, { temperature: 1, topK: 0, topP: 0.1 }],
    [zeroes, { temperature: 1, topK: 8, topP: 0.5 }],
    [ties, { temperature: 100, topK: 10, topP: 0.45 }],
    [few, { temperature: 100, topK: 12, topP: 1 }],
    [row, { temperature: 100, topK: 1e6, topP: 1e-30 }],
    [row, { temperature: 5, topK: 0, topP: 1, mostTypical: 6 }],
    [row, { temperature: 1.5, topK: 12, topP: 1, typicalP: 0.3 }],
    [row, { temperature: 100, topK: 0, topP: 1, typicalP: 1e-30 }],
    [ties, { temperature: 1, topK: 0, topP: 1, mostTypical: 7 }],
    [ties, { temperature: 1, topK: 10, topP: 1, typicalP: 0.5, forbidden: [8] }],
    [zeroes, { temperature: 1, topK: 0, topP: 1, typicalP: 0.1 }],
    [few, { temperature: 100, topK: 0, topP: 1, mostTypical: 12 }],
    [few, { temperature: 100, topK: 0, topP: 0.7, typicalP: 0.9, mostTypical: 3 }],
  ] as const) {
    const { tokens } = await drawn(times(count, logits), { ...options, seeds: seedsOf(count) })
    const choices = [...plainChoices(logits, options).keys()]
    t.deepEqual([...new Set(tokens)].sort(), choices.sort(), JSON.stringify(options))
  }
})

test('other rows, and their number, do not matter', async (t) => {
  const rows = Array.from({ length: 5 }, (_, r) => logitsOf(300, r))
  const options = { temperature: 1.5, topK: 50, topP: 0.95 }
  const seeds = seedsOf(5)
  const seedOf = (r: number) => seeds.subarray(2 * r, 2 * r + 2)
  const together = await drawn(rows, { ...options, seeds })
  for (const [r, row] of rows.entries()) {
    const other = logitsOf(300, 77)
    const shuffled = [other, row, other]
    const mixed = Int32Array.from([5, 6, ...seedOf(r), 7, 8])
    const alone = await drawn([row], { ...options, seeds: seedOf(r) })
    const among = await drawn(shuffled, { ...options, seeds: mixed })
    for (const name of ['tokens', 'scores', 'lengths', 'done'] as const) {
      t.is(alone[name][0], together[name][r])
      t.is(among[name][1], together[name][r])
    }
  }
})

test('positions and seeds give draws of their own', async (t) => {
  const row = new Float32Array(1000)
  const draws = await Promise.all(
    [0, 1, 2].map((position) =>
      drawn(times(30, row), { ...all, position, seeds: seedsOf(30, 2 ** 40 + 1) }),
    ),
  )
  const tokens = draws.flatMap((step) => step.tokens)
  t.true(new Set(tokens).size > 75, `${new Set(tokens).size} different ones of 90`)
  t.not(sampleSeeds(1, [0], 1)[0], sampleSeeds(2 ** 32 + 1, [0], 1)[0])
  t.is(
    new Set(
      sampleSeeds(3, [0, 1, 2], 4)
        .join()
        .match(/-?\d+,-?\d+/g),
    ).size,
    12,
  )
})

test('a row that has ended is left alone, and no row ends before minTokens', async (t) => {
  const row = new Float32Array(40)
  row[eos] = 50
  const early = { ...all, seeds: seedsOf(4), position: 2, minTokens: 3 }
  const on = unscoped(() => stepOf(times(4, row), early))
  queue(on, early)
  const words = await results(on)
  t.true(words.tokens.every((token) => token !== eos))
  t.deepEqual(words.lengths, [3, 3, 3, 3])
  queue(on, { ...early, position: 3 })
  const ended = await results(on)
  t.deepEqual(ended.tokens, [eos, eos, eos, eos])
  t.deepEqual(ended.done, [1, 1, 1, 1])
  t.deepEqual(ended.lengths, [3, 3, 3, 3])
  t.deepEqual(ended.sequences, words.sequences)
  queue(on, { ...early, position: 3, seeds: seedsOf(4, 9) })
  t.deepEqual(await results(on), ended)
  for (const x of tensorsIn(on)) x.release()
})

test('logits of -infinity, huge ones, and rows without a choice', async (t) => {
  const none = new Float32Array(40).fill(-infinity)
  const only = none.slice()
  only[23] = -3e38
  const huge = Float32Array.from({ length: 40 }, (_, i) => (i === 17 ? 3e38 : -3e38))
  const above = logitsOf(40, 3)
  above[0] = 1e6
  const nan = logitsOf(40, 3)
  nan[9] = Number.NaN
  const infinite = logitsOf(40, 3)
  infinite[9] = infinity
  const rows = [only, huge, above, none, nan, infinite]
  for (const options of [all, { ...all, topK: 3 }, { ...all, topP: 0.5 }]) {
    const step = { ...options, forbidden: [0], seeds: seedsOf(rows.length) }
    const { tokens, scores, done } = await drawn(rows, step)
    t.deepEqual(tokens.slice(0, 2), [23, 17])
    t.deepEqual(scores.slice(0, 2), [0, 0])
    t.true(plainChoices(above, step).has(tokens[2] ?? -1))
    t.deepEqual(done.slice(3), [1, 1, 1])
    t.deepEqual(scores.slice(3), [-infinity, -infinity, -infinity])
  }
})

test('a captured step gives the bits of an eager one', async (t) => {
  const rows = Array.from({ length: 3 }, (_, r) => logitsOf(500, r))
  const options = { temperature: 1.2, topK: 60, topP: 0.9, seeds: seedsOf(3) }
  const expected = await drawn(rows, options)
  const on = unscoped(() => stepOf(rows, options))
  using captured = capture(device, () => queue(on, options))
  captured.replay()
  t.deepEqual(await results(on), expected)
  for (const x of tensorsIn(on)) x.release()
})

const usual: SampleOptions & { readonly vocabulary: number; readonly beams: number } = {
  device,
  vocabulary: 50,
  images: 3,
  beams: 2,
  numCaptions: 2,
  maxTokens: 9,
  bos,
  eos,
  forbidden: [bos, 2],
  temperature: 1,
  topK: 0,
  topP: 1,
  seed: 1,
}

async function sample(options: typeof usual, model = randomModel(options)) {
  const before = memory(device).liveTensors
  const found = await sampleCaptions(onDevice(model, options), options)
  if (memory(device).liveTensors !== before) throw new Error('the samples leaked tensors')
  return found
}

test('nearly cold or with one word to choose from it is greedy', async (t) => {
  const options = { ...usual, beams: 1, numCaptions: 1 }
  const model = randomModel(options)
  const expected = await searchCaptions(onDevice(model, options), options)
  for (const way of [
    { temperature: 1e-6 },
    { topK: 1 },
    { topP: 1e-9 },
    { topK: 1, typicalP: 0.5 },
  ]) {
    const found = await sample({ ...options, ...way }, model)
    for (const [image, [best]] of found.entries()) {
      const [greedy] = expected[image] ?? []
      t.deepEqual(best?.tokens, greedy?.tokens)
      t.is(best?.finished, greedy?.finished)
      t.true(Math.abs((best?.score ?? 0) - (greedy?.score ?? 1)) < 1e-5)
    }
  }
})

test('samples are the best first, the same for the same seed, others for another', async (t) => {
  const options = { ...usual, temperature: 2 }
  const found = await sample(options)
  t.deepEqual(await sample(options), found)
  t.notDeepEqual(await sample({ ...options, seed: 2 }, randomModel(options)), found)
  for (const captions of found) {
    t.is(captions.length, 2)
    t.true((captions[0]?.score ?? 0) >= (captions[1]?.score ?? 0))
    t.notDeepEqual(captions[0]?.tokens, captions[1]?.tokens)
    for (const { tokens, finished } of captions)
      t.true(tokens.every((id) => ![bos, eos, 2].includes(id)) && (finished || tokens.length === 9))
  }
})

test('numbers that are not finite, and options out of range', async (t) => {
  const model = { ...randomModel(usual), tables: times(3, []).map(() => new Float32Array(2500)) }
  model.tables[1]?.fill(Number.NaN)
  await t.throwsAsync(sample(usual, model), { message: /image 2 of 3 has no possible caption/ })
  const wrong: [Partial<SampleOptions>, string][] = [
    [
      { temperature: 0 },
      'caption: expected temperature to be finite and from 0.000001, received 0',
    ],
    [{ topK: -1 }, 'caption: expected topK to be an integer from 0 to 2147483647, received -1'],
    [{ topP: 0 }, 'caption: expected topP to be a number above 0, up to 1, received 0'],
    [{ typicalP: 2 }, 'caption: expected typicalP to be a number above 0, up to 1, received 2'],
    [
      { mostTypical: 0.5 },
      'caption: expected mostTypical to be an integer from 0 to 2147483647, received 0.5',
    ],
    [
      { numCaptions: 65 },
      'caption: expected numCaptions to be an integer from 1 to 64, received 65',
    ],
    [{ seed: -1 }, `caption: expected seed to be an integer from 0 to ${2 ** 53 - 1}, received -1`],
  ]
  for (const [change, message] of wrong)
    await t.throwsAsync(
      sampleCaptions(() => scope(() => zeros([1, 1], 'float32', device)), { ...usual, ...change }),
      { message },
    )
})
