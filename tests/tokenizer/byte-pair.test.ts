/** The byte-pair tokenizer: exact round trips, and the same merges and ids as a plain implementation. */

import test from 'ava'
import { ArgumentError } from '../../ts/errors.js'
import { trainBytePairTokenizer } from '../../ts/tokenizer/byte-pair.js'
import { type Merge, pieceMerger } from '../../ts/tokenizer/byte-pair-merging.js'
import { learnMerges } from '../../ts/tokenizer/byte-pair-training.js'
import { specialTokens } from '../../ts/tokenizer/tokenizer.js'
import { oddCaption, plainCaption, randomIntegers, randomUnicode, texts } from './random-text.js'

const captions = [...texts(plainCaption, 500, 1), ...texts(oddCaption, 200, 2)]
const tokenizer = trainBytePairTokenizer(captions, { vocabularySize: 400 })

test('any text comes back exactly', (t) => {
  const awkward = [
    '',
    ' ',
    '\ufeffdog',
    '\u0085',
    '\r\n\n',
    '\0',
    "'",
    ' \u00a0 x',
    'a'.repeat(500),
  ]
  const all = [...awkward, ...texts(oddCaption, 3000, 3), ...texts(randomUnicode, 3000, 4)]
  for (const text of all) t.is(tokenizer.decode(tokenizer.encode(text)), text)
})

test('a lone surrogate comes back as the replacement character', (t) => {
  t.is(tokenizer.decode(tokenizer.encode('a\ud800b')), 'a\ufffdb')
})

test('a cut character decodes to the replacement character', (t) => {
  const [first = 0] = trainBytePairTokenizer([], { vocabularySize: 260 }).encode('é')
  t.is(tokenizer.decode([first]), '\ufffd')
})

test('the vocabulary has the size asked for, and frequent words are one token', (t) => {
  t.is(tokenizer.vocabularySize, 400)
  t.is(tokenizer.kind, 'byte-pair')
  t.deepEqual(tokenizer.encode(' dog').map(tokenizer.token), ['Ġdog'])
  t.deepEqual(
    [0, 1, 2, 3].map((id) => tokenizer.token(id)),
    [...specialTokens],
  )
})

test('the order of the captions does not matter', (t) => {
  const again = trainBytePairTokenizer([...captions].reverse(), { vocabularySize: 400 })
  t.deepEqual(again.toJSON(), tokenizer.toJSON())
})

test('minCount ends the merges early', (t) => {
  const sizes = [1, 2, 3, 100].map(
    (minCount) =>
      trainBytePairTokenizer(['ab ab ab', 'cd cd', 'ef'], { vocabularySize: 999, minCount })
        .vocabularySize,
  )
  // Pairs by count: a-b 3; space-ab 2, c-d 2; space-cd 1, e-f 1.
  t.deepEqual(sizes, [260 + 5, 260 + 3, 260 + 1, 260])
})

test('text cannot forge a special id, whatever was in the training captions', (t) => {
  const forging = [...specialTokens, '<eos>', '[PAD]', 'a<|eos|>b', ' <|eos|>']
  const trained = trainBytePairTokenizer(
    forging.flatMap((text) => new Array<string>(50).fill(text)),
    { vocabularySize: 600 },
  )
  for (const text of [...forging, ...texts(oddCaption, 500, 6)]) {
    const ids = trained.encode(text)
    t.true(
      ids.every((id) => id >= specialTokens.length),
      text,
    )
    t.is(trained.decode(ids), text)
  }
})

test('decode drops specials by id, stops at eos, and leaves words with "end" whole', (t) => {
  const { bos, eos, pad, unk } = tokenizer
  const ids = tokenizer.encode('friends end <|eos|>')
  t.is(tokenizer.decode([bos, unk, ...ids, pad, eos, ...ids]), 'friends end <|eos|>')
})

test('merges are those of counting all pairs anew each time', (t) => {
  const random = randomIntegers(7)
  for (let round = 0; round < 40; round++) {
    const pieces = Array.from({ length: 12 }, () => ({
      ids: Array.from({ length: random(9) }, () => random(3)),
      count: 1 + random(4),
    }))
    const plain = plainMerges(structuredClone(pieces), ['a', 'b', 'c'], 12, 2)
    const tokens = ['a', 'b', 'c']
    t.deepEqual(learnMerges(pieces, tokens, 12, 2), plain)
    t.true(tokens.length <= 12)
  }
})

test('ids are those of merging the first learnt pair everywhere, then the next', (t) => {
  const random = randomIntegers(8)
  const merges: Merge[] = ['a b', 'b b', 'ab a', 'a a', 'bb ab', 'aa aa'].map(
    (pair) => pair.split(' ') as [string, string],
  )
  const tokens = ['a', 'b', ...merges.map((merge) => merge.join(''))]
  const merge = pieceMerger(merges, new Map(tokens.map((token, id) => [token, id])))
  for (let round = 0; round < 2000; round++) {
    const bytes = Array.from({ length: random(20) }, () => random(2))
    let expected = bytes.map((id) => tokens[id] as string)
    for (const [left, right] of merges) expected = replacePair(expected, left, right)
    t.deepEqual(
      merge(bytes).map((id) => tokens[id]),
      expected,
    )
  }
})

test('35,000 captions and a word of a million letters take seconds', (t) => {
  const random = randomIntegers(9)
  const syllables = Array.from({ length: 80 }, () =>
    Array.from({ length: 2 + random(2) }, () => String.fromCharCode(97 + random(26))).join(''),
  )
  const word = () => Array.from({ length: 1 + random(3) }, () => syllables[random(80)]).join('')
  const words = Array.from({ length: 20_000 }, word)
  const pick = () => words[Math.floor((random(1000) / 1000) ** 3 * 1000) * 20 + random(20)]
  const many = Array.from({ length: 35_000 }, () => Array.from({ length: 11 }, pick).join(' '))
  const start = performance.now()
  const large = trainBytePairTokenizer(many, { vocabularySize: 8260 })
  const trained = performance.now()
  t.is(large.vocabularySize, 8260)
  for (const caption of many.slice(0, 5000)) t.true(large.decode(large.encode(caption)) === caption)
  t.true(large.encode('a'.repeat(1e6)).length > 0)
  t.log(
    `training ${Math.round(trained - start)} ms, rest ${Math.round(performance.now() - trained)} ms`,
  )
})

test('wrong arguments', (t) => {
  t.throws(() => trainBytePairTokenizer(captions, { vocabularySize: 259 }), {
    instanceOf: ArgumentError,
    message:
      'trainBytePairTokenizer: expected vocabularySize to be an integer of at least 260, received 259',
  })
  t.throws(() => trainBytePairTokenizer(captions, { vocabularySize: 300, minCount: 0.5 }), {
    instanceOf: ArgumentError,
  })
  t.throws(() => tokenizer.token(400), { instanceOf: ArgumentError })
  t.throws(() => tokenizer.decode([-1]), { instanceOf: ArgumentError })
})

/** The definition of byte-pair learning, without any bookkeeping. */
function plainMerges(
  pieces: { ids: number[]; count: number }[],
  tokens: string[],
  size: number,
  minCount: number,
): Merge[] {
  const merges: Merge[] = []
  while (tokens.length < size) {
    let best = { left: 0, right: 0, count: 0 }
    for (let left = 0; left < tokens.length; left++) {
      for (let right = 0; right < tokens.length; right++) {
        let count = 0
        for (const piece of pieces) {
          for (let i = 1; i < piece.ids.length; i++) {
            if (piece.ids[i - 1] === left && piece.ids[i] === right) count += piece.count
          }
        }
        if (count > best.count) best = { left, right, count }
      }
    }
    if (best.count < minCount) return merges
    const [left, right] = [tokens[best.left] as string, tokens[best.right] as string]
    merges.push([left, right])
    if (!tokens.includes(left + right)) tokens.push(left + right)
    for (const piece of pieces) {
      const spelt = piece.ids.map((id) => tokens[id] as string)
      piece.ids = replacePair(spelt, left, right).map((token) => tokens.indexOf(token))
    }
  }
  return merges
}

function replacePair(tokens: readonly string[], left: string, right: string): string[] {
  const result: string[] = []
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i] === left && tokens[i + 1] === right) {
      result.push(left + right)
      i++
    } else result.push(tokens[i] as string)
  }
  return result
}
