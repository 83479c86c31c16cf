/** The word tokenizer: vocabulary, ids that text cannot forge, decoding. */

import test from 'ava'
import { ArgumentError, DataError } from '../../ts/errors.js'
import { specialTokens } from '../../ts/tokenizer/tokenizer.js'
import { trainWordTokenizer } from '../../ts/tokenizer/word.js'
import { oddCaption, plainCaption, texts } from './random-text.js'

const captions = ['A dog runs .', 'A dog sits', 'a cat sits', 'Zebra', 'an 𝔄 \uf900']

function vocabulary(tokenizer: ReturnType<typeof trainWordTokenizer>): string[] {
  return Array.from({ length: tokenizer.vocabularySize }, (_, id) => tokenizer.token(id))
}

test('words stand by falling count, then by code point', (t) => {
  const tokenizer = trainWordTokenizer(captions)
  const words = ['a', 'dog', 'sits', 'an', 'cat', 'runs', 'zebra', '\u8c48', '𝔄']
  t.deepEqual(vocabulary(tokenizer), [...specialTokens, ...words])
  t.is(tokenizer.kind, 'word')
  t.deepEqual([tokenizer.pad, tokenizer.bos, tokenizer.eos, tokenizer.unk], [0, 1, 2, 3])
})

test('the order of the captions does not matter', (t) => {
  const many = texts(plainCaption, 300, 3)
  t.deepEqual(trainWordTokenizer([...many].reverse()).toJSON(), trainWordTokenizer(many).toJSON())
})

test('minCount leaves rarer words to unk', (t) => {
  const tokenizer = trainWordTokenizer(captions, { minCount: 2 })
  t.deepEqual(vocabulary(tokenizer), [...specialTokens, 'a', 'dog', 'sits'])
  t.deepEqual(tokenizer.encode('a cat sits'), [4, tokenizer.unk, 6])
})

test('maxSize counts the special ids', (t) => {
  const tokenizer = trainWordTokenizer(captions, { maxSize: 6 })
  t.is(tokenizer.vocabularySize, 6)
  t.deepEqual(tokenizer.encode('a dog sits'), [4, 5, tokenizer.unk])
})

test('known words come back', (t) => {
  const tokenizer = trainWordTokenizer(texts(plainCaption, 300, 4))
  t.is(tokenizer.decode(tokenizer.encode("The girl's T-shirt sits")), "the girl's t-shirt sits")
  t.is(tokenizer.decode([]), '')
})

test('text cannot forge a special id', (t) => {
  for (const keepPunctuation of [false, true]) {
    const forging = [...specialTokens, '<eos>', '[PAD]', '</s>', '<unk>', 'a<|eos|>b', '<|EOS|>']
    const tokenizer = trainWordTokenizer([...forging, 'a', 'b'], { keepPunctuation })
    for (const text of [...forging, ...texts(oddCaption, 500, 5)]) {
      for (const id of tokenizer.encode(text)) t.true(id >= tokenizer.unk, JSON.stringify(text))
    }
    t.is(tokenizer.decode(tokenizer.encode('a <|eos|> b')).replace(/\W/g, ''), 'aeosb')
  }
})

test('decode drops specials by id, stops at eos, and leaves words with "end" whole', (t) => {
  const tokenizer = trainWordTokenizer(['friends endure the end start pad eos'])
  const ids = tokenizer.encode('friends endure the end start pad eos')
  const row = [tokenizer.bos, ...ids, tokenizer.unk, tokenizer.eos, ...ids, tokenizer.pad]
  t.is(tokenizer.decode(row), 'friends endure the end start pad eos')
})

test('names of object members are ordinary words', (t) => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']
  const one = trainWordTokenizer(['dog'])
  const options = { lowercase: false, keepPunctuation: true }
  for (const name of names)
    t.true(
      one.encode(name).every((id) => id === one.unk),
      name,
    )
  const tokenizer = trainWordTokenizer(names, options)
  t.is(tokenizer.decode(tokenizer.encode(names.slice(1).join(' '))), names.slice(1).join(' '))
})

test('wrong arguments', (t) => {
  t.throws(() => trainWordTokenizer(captions, { minCount: 0 }), {
    instanceOf: ArgumentError,
    message: 'trainWordTokenizer: expected minCount to be an integer of at least 1, received 0',
  })
  t.throws(() => trainWordTokenizer(captions, { maxSize: 4 }), { instanceOf: ArgumentError })
  for (const splitOn of ['', ', ']) {
    t.throws(() => trainWordTokenizer(captions, { normalization: 'whitespace', splitOn }), {
      instanceOf: ArgumentError,
      message: `trainWordTokenizer: expected splitOn to be one character, received ${JSON.stringify(splitOn)}`,
    })
  }
  t.throws(() => trainWordTokenizer(['. . !'], {}), { instanceOf: DataError })
  t.throws(() => trainWordTokenizer(captions, { minCount: 9 }), {
    instanceOf: DataError,
    message: /no word occurs 9 times or more \(9 different words were seen\)/,
  })
  const tokenizer = trainWordTokenizer(['dog'])
  for (const id of [5, -1, 0.5, Number.NaN]) {
    t.throws(() => tokenizer.token(id), { instanceOf: ArgumentError })
    t.throws(() => tokenizer.decode([4, id]), {
      instanceOf: ArgumentError,
      message: `decode: expected id to be an integer from 0 to 4, received ${id}`,
    })
  }
})
