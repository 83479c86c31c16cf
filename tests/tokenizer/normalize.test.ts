/** What the word tokenizer takes for a word, and how words become a line again. */

import test from 'ava'
import { type WordOptions, wordSplitter } from '../../ts/tokenizer/normalize.js'
import { oddCaption, randomUnicode, texts } from './random-text.js'

const splitWords = (text: string, options?: WordOptions) => wordSplitter(options).split(text)
const joinWords = (words: readonly string[], options?: WordOptions) =>
  wordSplitter(options).join(words)

const cases: [text: string, words: string[]][] = [
  ['A black dog is running .', ['a', 'black', 'dog', 'is', 'running']],
  ['T-shirt, merry-go-round; 10-year-old', ['t-shirt', 'merry-go-round', '10-year-old']],
  ["the dog's toy", ['the', 'dog', "'s", 'toy']],
  ["a worker 's vest", ['a', 'worker', "'s", 'vest']],
  ["it's, they're, don't", ['it', "'s", 'they', "'re", 'don', "'t"]],
  ["the boys' team, 'steady'", ['the', 'boys', 'team', 'steady']],
  ["five o'clock O'Brien", ['five', "o'clock", "o'brien"]],
  ['the dog’s t‑shirt', ['the', 'dog', "'s", 't-shirt']],
  ['3.5 m, 10,000 at 10:30.', ['3.5', 'm', '10,000', 'at', '10:30']],
  ['snow--white - -end-', ['snow', 'white', 'end']],
  ['Cafe\u0301 ÜBER', ['café', 'über']],
  ['नमस्ते 日本', ['नमस्ते', '日本']],
  ['❤️ 🐶 … \u200b', []],
  ['', []],
]

for (const [text, words] of cases) {
  test(`words of ${JSON.stringify(text)}`, (t) => {
    t.deepEqual(splitWords(text), words)
  })
}

test('keepPunctuation makes each mark or symbol a word', (t) => {
  const words = splitWords('"Stop!" (50% off) ❤️ ...', { keepPunctuation: true })
  t.deepEqual(words, ['"', 'stop', '!', '"', '(', '50', '%', 'off', ')', '❤', '.', '.', '.'])
  t.is(joinWords(words), '" stop! " (50% off) ❤...')
})

test('lowercase: false keeps the case', (t) => {
  t.deepEqual(splitWords("Anna's DOG", { lowercase: false }), ['Anna', "'s", 'DOG'])
})

test('joinWords attaches endings', (t) => {
  t.is(joinWords(['the', 'dog', "'s", 'toy', "'", 's']), "the dog's toy ' s")
})

for (const keepPunctuation of [false, true]) {
  test(`joined words split into the same words, keepPunctuation ${keepPunctuation}`, (t) => {
    for (const text of [...texts(oddCaption, 2000, 1), ...texts(randomUnicode, 2000, 2)]) {
      const words = splitWords(text, { keepPunctuation })
      t.deepEqual(splitWords(joinWords(words), { keepPunctuation }), words, JSON.stringify(text))
    }
  })
}

test('a long text takes time in proportion', (t) => {
  const length = 200_000
  for (const unit of ['a', "a'", 'a-', '1.', "'s", '(', ' ']) {
    const words = splitWords(unit.repeat(length), { keepPunctuation: true })
    t.true(joinWords(words).length <= 2 * unit.length * length)
  }
})
