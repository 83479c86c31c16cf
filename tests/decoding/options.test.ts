/** Options of decoding: ranges, what a model's defaults do, and the words that captions begin with. */
import test from 'ava'
import { generationSchema } from '../../ts/decoding/generation.js'
import { type CaptionOptions, decodingOptions } from '../../ts/decoding/options.js'
import { trainBytePairTokenizer } from '../../ts/tokenizer/byte-pair.js'
import type { Tokenizer } from '../../ts/tokenizer/tokenizer.js'
import { trainWordTokenizer } from '../../ts/tokenizer/word.js'

const captions = ['a brown dog runs on the grass', 'two dogs play with a red ball']
const words = trainWordTokenizer(captions)
const pieces = trainBytePairTokenizer(captions, { vocabularySize: 300 })
const longest = 40

function decoding(options: CaptionOptions, defaults: object = {}, tokenizer: Tokenizer = words) {
  return decodingOptions(options, generationSchema.parse(defaults), longest, tokenizer)
}

test('nothing given: a search as generation.json says, without rules', (t) => {
  const { sampling, beams, maxTokens, lengthPenalty, rules, prefix } = decoding({})
  t.is(sampling, undefined)
  t.deepEqual([beams, maxTokens, lengthPenalty], [3, 30, 0.7])
  t.like(rules, { repetitionPenalty: 1, frequencyPenalty: 0, noRepeatNgram: 0 })
  t.deepEqual(prefix, [])
})

const wrong: [CaptionOptions, string][] = [
  [{ beam: 65 }, 'expected beam to be an integer from 1 to 64, received 65'],
  [{ maxTokens: 41 }, 'expected maxTokens to be an integer from 1 to 40, received 41'],
  [{ minTokens: 31 }, 'expected minTokens to be an integer from 1 to 30, received 31'],
  [{ lengthPenalty: -1 }, 'expected lengthPenalty to be a number from 0 to 10, received -1'],
  [{ numCaptions: 4 }, 'expected numCaptions to be an integer from 1 to 3, received 4'],
  [{ topK: 2, numCaptions: 65 }, 'expected numCaptions to be an integer from 1 to 64, received 65'],
  [{ temperature: -0.1 }, 'expected temperature to be a number from 0 to 100, received -0.1'],
  [{ topK: 0 }, 'expected topK to be an integer from 1 to 2147483647, received 0'],
  [{ topP: 0 }, 'expected topP to be a number above 0, at most 1, received 0'],
  [{ typicalP: 1.1 }, 'expected typicalP to be a number above 0, at most 1, received 1.1'],
  [{ tau: Number.NaN }, 'expected tau to be a number above 0, at most 1, received NaN'],
  [
    { repetitionPenalty: 0 },
    'expected repetitionPenalty to be a number above 0, at most 100, received 0',
  ],
  [
    { repetitionWindow: 513 },
    'expected repetitionWindow to be an integer from 1 to 512, received 513',
  ],
  [{ frequencyPenalty: -1 }, 'expected frequencyPenalty to be a number from 0 to 100, received -1'],
  [{ frequencyWindow: 0 }, 'expected frequencyWindow to be an integer from 1 to 512, received 0'],
  [{ noRepeatNgram: 1.5 }, 'expected noRepeatNgram to be an integer from 0 to 512, received 1.5'],
  [{ seed: -1 }, `expected seed to be an integer from 0 to ${2 ** 53 - 1}, received -1`],
]

for (const [options, message] of wrong)
  test(`out of range: ${JSON.stringify(options)}`, (t) => {
    t.throws(() => decoding(options), { code: 'ERR_ARGUMENT', message: `caption: ${message}` })
  })

test('a limit below what the model says of the shortest caption', (t) => {
  t.is(decoding({ maxTokens: 5 }, { minTokens: 8 }).minTokens, 5)
  t.is(decoding({}, { minTokens: 8 }).minTokens, 8)
})

test('a model that samples by default', (t) => {
  const eir = { temperature: 0.7, topK: 20, topP: 0.9, tau: 0.95, repetitionPenalty: 1.1, seed: 5 }
  const plain = decoding({}, eir)
  t.like(plain.sampling, { temperature: 0.7, topK: 20, topP: 0.9, typicalP: 1 })
  t.is(plain.sampling?.mostTypical, Math.floor((words.vocabularySize - 1) * 0.95) + 1)
  t.is(plain.beams, 1)
  t.is(plain.seed, 5)
  t.is(plain.rules.repetitionPenalty, 1.1)
  t.like(decoding({ topK: 5 }, eir).sampling, { temperature: 0.7, topK: 5, topP: 0.9 })
  const searched = decoding({ beam: 4 }, eir)
  t.is(searched.sampling, undefined)
  t.is(searched.beams, 4)
  t.is(searched.rules.repetitionPenalty, 1.1)
})

test('beams and sampling exclude each other; each option of sampling samples', (t) => {
  for (const options of [
    { temperature: 1 },
    { topK: 3 },
    { topP: 1 },
    { typicalP: 0.9 },
    { tau: 1 },
  ]) {
    t.truthy(decoding(options).sampling)
    t.throws(() => decoding({ ...options, beam: 2 }), {
      message: /^caption: beam 2 searches .* Leave out one or the other/,
    })
  }
  t.like(decoding({ temperature: 0, typicalP: 0.5 }).sampling, { temperature: 1, topK: 1 })
})

test('several captions by default, as many as there are', (t) => {
  const defaults = { numCaptions: 5, beam: 5 }
  t.is(decoding({}, defaults).numCaptions, 5)
  t.is(decoding({ beam: 2 }, defaults).numCaptions, 2)
  t.is(decoding({ topK: 3 }, defaults).numCaptions, 5)
})

test('a prefix becomes tokens, however it is written', (t) => {
  const { prefix } = decoding({ prefix: '  A brown   DOG ' })
  t.is(words.decode(prefix), 'a brown dog')
  t.deepEqual(decoding({}, { prefix: 'a brown dog' }).prefix, prefix)
  t.deepEqual(decoding({ prefix: '' }, { prefix: 'a brown dog' }).prefix, [])
  const spelt = decoding({ prefix: 'a zebra' }, {}, pieces).prefix
  t.is(pieces.decode(spelt), 'a zebra')
})

test('a prefix with unknown words, and one too long', (t) => {
  t.throws(() => decoding({ prefix: 'a zebra with a red ball' }), {
    code: 'ERR_ARGUMENT',
    message:
      'caption: expected a prefix of words that the model knows, received "a zebra with a red ball": ' +
      '"zebra" is not in its vocabulary',
  })
  t.throws(() => decoding({ prefix: 'zebras and a dog' }), {
    message: /: "zebras", "and" are not in its vocabulary$/,
  })
  t.throws(() => decoding({ prefix: 'a red ball', maxTokens: 3 }), {
    message:
      'caption: expected a prefix of fewer tokens than maxTokens (3), received "a red ball", which has 3. ' +
      'Shorten it or raise maxTokens',
  })
  t.is(decoding({ prefix: 'a red ball', maxTokens: 4 }).prefix.length, 3)
})

test('generation.json refuses what it does not know', (t) => {
  t.false(generationSchema.safeParse({ topp: 0.9 }).success)
  t.false(generationSchema.safeParse({ topP: 1.9 }).success)
})
