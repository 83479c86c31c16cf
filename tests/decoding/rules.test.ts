/** Rules on logits against plain ones: the kernel's bits, and whole searches and samples with them. */
import ava from 'ava'
import { sampleCaptions } from '../../ts/decoding/sample.js'
import { type SearchOptions, searchCaptions } from '../../ts/decoding/search.js'
import type { Device } from '../../ts/native.js'
import { createRandom } from '../../ts/random.js'
import { memory, tensor, tensorsIn, unscoped, view } from '../../ts/tensor.js'
import { cpu, device } from '../device.js'
import { type PlainRules, plainRules } from './plain-rules.js'
import { plainSearch } from './plain-search.js'
import { bos, eos, logitsOf, onDevice, randomModel } from './table-model.js'

// One after another, because some count the tensors alive.
const test = ava.serial

interface Rows {
  readonly logits: readonly Float32Array[]
  readonly words: readonly (readonly number[])[]
  readonly position: number
  /** Of each image; as many images as lists. */
  readonly prefixes?: readonly (readonly number[])[]
  /** Columns beyond the vocabulary, in a larger tensor that the logits are a view of. */
  readonly surplus?: number
}

async function adjusted(rows: Rows, rules: PlainRules, on: Device = device): Promise<number[][]> {
  const { logits, words, position, prefixes, surplus = 0 } = rows
  const [count, vocabulary] = [logits.length, logits[0]?.length ?? 0]
  const width = vocabulary + surplus
  const length = words[0]?.length ?? 0
  const held = unscoped(() => {
    const flat = new Float32Array(count * width).fill(7)
    for (const [r, row] of logits.entries()) flat.set(row, r * width)
    const all = tensor(flat, [count, width], on)
    return {
      all,
      logits: view(all, [count, vocabulary], 0, width),
      words: tensor(Int32Array.from(words.flat()), [count, length], on),
      forced:
        prefixes &&
        tensor(Int32Array.from(prefixes.flat()), [prefixes.length, prefixes[0]?.length ?? 0], on),
    }
  })
  on.kernels.adjustLogits(
    held.logits,
    held.words,
    held.forced,
    position,
    rules.repetitionPenalty ?? 1,
    rules.repetitionWindow ?? 64,
    rules.frequencyPenalty ?? 0,
    rules.frequencyWindow ?? 128,
    rules.noRepeatNgram ?? 0,
  )
  const found = await held.all.readFloats()
  for (const t of tensorsIn(held)) t.release()
  return logits.map((_, r) => Array.from(found.subarray(r * width, (r + 1) * width)))
}

function randomRows(vocabulary: number, count: number, length: number, seed: number): Rows {
  const random = createRandom(seed)
  const few = Math.min(vocabulary, 1 + Math.floor(length / 3))
  return {
    logits: Array.from({ length: count }, () =>
      Float32Array.from({ length: vocabulary }, () => 8 * random() - 4),
    ),
    words: Array.from({ length: count }, () =>
      Array.from({ length }, () => Math.floor(random() * few)),
    ),
    position: length,
  }
}

const cases: Readonly<Record<string, PlainRules>> = {
  'repetition 1.3': { repetitionPenalty: 1.3 },
  'repetition below 1, in a window': { repetitionPenalty: 0.7, repetitionWindow: 3 },
  'frequency 0.1': { frequencyPenalty: 0.1 },
  'frequency in a window': { frequencyPenalty: 2.5, frequencyWindow: 5 },
  'no word twice': { noRepeatNgram: 1 },
  'no pair twice': { noRepeatNgram: 2 },
  'no triple twice': { noRepeatNgram: 3 },
  'all of them': {
    repetitionPenalty: 1.1,
    repetitionWindow: 9,
    frequencyPenalty: 0.4,
    frequencyWindow: 12,
    noRepeatNgram: 2,
  },
}

for (const [name, rules] of Object.entries(cases))
  test(`the kernel: ${name}`, async (t) => {
    let changed = 0
    for (const [seed, [vocabulary, count, length]] of (
      [
        [1, 1, 1],
        [5, 3, 4],
        [33, 9, 12],
        [257, 2, 130],
        [1031, 2, 300],
      ] as const
    ).entries()) {
      const rows = randomRows(vocabulary, count, length, seed)
      for (const position of [0, Math.ceil(length / 2), length]) {
        const found = await adjusted({ ...rows, position, surplus: 3 }, rules)
        for (const [r, row] of rows.logits.entries()) {
          const words = (rows.words[r] ?? []).slice(0, position)
          const expected = plainRules(row, words, rules)
          t.deepEqual(found[r], [...expected, 7, 7, 7], `${vocabulary} words, position ${position}`)
          for (const [i, x] of expected.entries()) if (x !== row[i]) changed++
        }
      }
    }
    t.true(changed > 2, `${changed} logits changed`)
  })

test('a given word leaves no other, for the images that have one there', async (t) => {
  const rows = { ...randomRows(70, 6, 4, 1), position: 2 }
  const prefixes = [
    [5, 6, 69],
    [7, 8, -1],
    [9, 1, 0],
  ]
  const rules = cases['all of them'] ?? {}
  const found = await adjusted({ ...rows, prefixes }, rules)
  for (const [r, row] of rows.logits.entries()) {
    const prefix = prefixes[Math.floor(r / 2)] ?? []
    const words = (rows.words[r] ?? []).slice(0, 2)
    t.deepEqual(found[r], plainRules(row, words, { ...rules, prefix }))
  }
  const beyond = { ...rows, position: 4, prefixes }
  t.deepEqual(await adjusted(beyond, rules), await adjusted({ ...rows, position: 4 }, rules))
})

test('infinite logits stay so, and the CPU has the same bits', async (t) => {
  const rows = randomRows(40, 3, 20, 3)
  for (const row of rows.logits) {
    row[0] = Number.NEGATIVE_INFINITY
    row[1] = -0
    row[2] = 3e38
  }
  const rules = cases['all of them'] ?? {}
  const found = await adjusted(rows, rules)
  t.true(found.every((row) => row[0] === Number.NEGATIVE_INFINITY))
  t.deepEqual(found, await adjusted(rows, rules, cpu))
})

const usual = {
  device,
  vocabulary: 30,
  images: 3,
  beams: 3,
  maxTokens: 10,
  minTokens: 1,
  lengthPenalty: 1,
  bos,
  eos,
  forbidden: [bos],
  seed: 1,
}

/** A model that likes to say the same again. */
function repeatingModel(options: typeof usual) {
  const model = randomModel(options, -2)
  for (const table of model.tables)
    for (let word = 0; word < options.vocabulary; word++) {
      const back = word * options.vocabulary + ((word + 3) % 6) + 2
      table[back] = (table[back] ?? 0) + 4
    }
  return model
}

async function search(rules: PlainRules, options = usual) {
  const { prefix, ...others } = rules
  const before = memory(device).liveTensors
  const forced =
    prefix &&
    unscoped(() =>
      tensor(
        Int32Array.from(Array.from({ length: options.images }, () => prefix).flat()),
        [options.images, prefix.length],
        device,
      ),
    )
  const settings: SearchOptions = { ...options, rules: { ...others, forced }, numCaptions: 3 }
  const model = repeatingModel(options)
  const found = await searchCaptions(onDevice(model, options), settings)
  forced?.release()
  if (memory(device).liveTensors !== before) throw new Error('the search leaked tensors')
  return { found, model }
}

for (const [name, rules] of Object.entries({
  ...cases,
  'a prefix': { prefix: [4, 4, 9] },
  'a prefix and all rules': { ...cases['all of them'], prefix: [4, 6, 4] },
}))
  test(`a search with ${name}`, async (t) => {
    const { found, model } = await search(rules)
    const { found: free } = await search({})
    t.notDeepEqual(found, free)
    for (const [image, captions] of found.entries()) {
      const logits = logitsOf(model, usual, image)
      const expected = plainSearch((words) => plainRules(logits(words), words, rules), usual)
      t.deepEqual(
        captions.map(({ tokens }) => tokens),
        expected.slice(0, 3).map(({ tokens }) => [...tokens]),
      )
      for (const [i, { score }] of captions.entries())
        t.true(Math.abs(score - (expected[i]?.score ?? Number.NaN)) < 1e-4 * (1 + Math.abs(score)))
    }
  })

test('a prefix costs nothing: scores are those of the rest', async (t) => {
  const prefix = [4, 4, 9]
  const { found, model } = await search({ prefix }, { ...usual, lengthPenalty: 0 })
  for (const [image, captions] of found.entries()) {
    const logits = logitsOf(model, usual, image)
    for (const { tokens, score, finished } of captions) {
      t.deepEqual(tokens.slice(0, 3), prefix)
      let sum = 0
      for (const [place, token] of [...tokens, ...(finished ? [eos] : [])].entries()) {
        const row = logits(tokens.slice(0, place))
        const logSum = Math.log(row.reduce((all, x) => all + Math.exp(x), 0))
        if (place >= prefix.length) sum += (row[token] ?? 0) - logSum
      }
      t.true(Math.abs(score - sum) < 1e-4)
    }
  }
})

test('samples: the same rules, and a prefix', async (t) => {
  const options = { ...usual, beams: 4, numCaptions: 4, temperature: 1, topK: 0, topP: 1 }
  const model = repeatingModel(options)
  const before = memory(device).liveTensors
  const forced = unscoped(() => tensor(Int32Array.of(4, 9, 5, 6, 7, -1), [3, 2], device))
  const rules = { noRepeatNgram: 1, forced }
  const found = await sampleCaptions(onDevice(model, options), { ...options, rules })
  forced.release()
  t.is(memory(device).liveTensors, before)
  const starts = [[4, 9], [5, 6], [7]]
  for (const [image, captions] of found.entries())
    for (const { tokens } of captions) {
      const start = starts[image] ?? []
      t.deepEqual(tokens.slice(0, start.length), start)
      t.is(new Set(tokens).size, tokens.length, 'no word twice')
    }
  const free = await sampleCaptions(onDevice(model, options), options)
  t.true(free.flat().some(({ tokens }) => new Set(tokens).size < tokens.length))
})

test('rules out of range', async (t) => {
  const model = randomModel(usual)
  const fail = async (rules: SearchOptions['rules'], message: string | RegExp) => {
    const options = { ...usual, ...(rules && { rules }) }
    await t.throwsAsync(searchCaptions(onDevice(model, usual), options), { message })
  }
  await fail(
    { repetitionPenalty: 0 },
    'caption: expected repetitionPenalty to be a number above 0, received 0',
  )
  await fail({ frequencyPenalty: Number.NaN }, /frequencyPenalty to be a number from 0/)
  await fail({ noRepeatNgram: 1.5 }, /noRepeatNgram to be an integer from 0 to/)
  await fail({ frequencyWindow: 0 }, /frequencyWindow to be an integer from 1 to/)
  for (const shape of [
    [2, 3],
    [3, 10],
  ] as const) {
    const forced = unscoped(() => tensor(new Int32Array(shape[0] * shape[1]), shape, device))
    await fail({ forced }, /forced is \[\d+, \d+\] int32; expected int32 \[3, P\] with P below/)
    forced.release()
  }
})
