/** tokenizer.json: comes back the same, is read alike by Hugging Face's library, and damage is named. */

import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import test from 'ava'
import { CheckpointError } from '../../ts/errors.js'
import { bytePairTokenizerFromJSON, trainBytePairTokenizer } from '../../ts/tokenizer/byte-pair.js'
import { specialTokens, type Tokenizer } from '../../ts/tokenizer/tokenizer.js'
import { loadTokenizer, saveTokenizer } from '../../ts/tokenizer/tokenizer-json.js'
import { trainWordTokenizer, wordTokenizerFromJSON } from '../../ts/tokenizer/word.js'
import { oddCaption, plainCaption, texts } from './random-text.js'

const names = 'constructor toString __proto__ valueOf'
const captions = [...texts(plainCaption, 300, 1), ...texts(oddCaption, 300, 2), names]
const held = [...texts(plainCaption, 100, 3), ...texts(oddCaption, 200, 4), names]

const cleaned = { normalization: 'basic-english', clean: true } as const

const tokenizers: [name: string, tokenizer: Tokenizer][] = [
  ['word', trainWordTokenizer(captions, { minCount: 2 })],
  ['word with case', trainWordTokenizer(captions, { lowercase: false })],
  ['word with punctuation', trainWordTokenizer(captions, { keepPunctuation: true })],
  ['basic-english', trainWordTokenizer(captions, { normalization: 'basic-english' })],
  ['keras', trainWordTokenizer(captions, { normalization: 'keras', maxSize: 40 })],
  ['whitespace', trainWordTokenizer(captions, { normalization: 'whitespace', minCount: 2 })],
  ['cleaned', trainWordTokenizer(captions, { clean: true })],
  ['cleaned basic-english', trainWordTokenizer(captions, { ...cleaned, minCount: 2 })],
  ['byte-pair', trainBytePairTokenizer(captions, { vocabularySize: 500 })],
  ['bytes only', trainBytePairTokenizer([], { vocabularySize: 260 })],
]

for (const [name, tokenizer] of tokenizers) {
  test(`${name}: a saved tokenizer loads as the same one`, (t) => {
    const text = saveTokenizer(tokenizer)
    for (const loaded of [loadTokenizer(text), loadTokenizer(JSON.parse(text))]) {
      t.is(saveTokenizer(loaded), text)
      t.is(loaded.kind, tokenizer.kind)
      t.is(loaded.vocabularySize, tokenizer.vocabularySize)
      for (const caption of held) t.deepEqual(loaded.encode(caption), tokenizer.encode(caption))
    }
  })

  test(`${name}: Hugging Face's library gives the same ids and the same text`, (t) => {
    const theirs = new HuggingFaceTokenizer(JSON.parse(saveTokenizer(tokenizer)), {
      unk_token: specialTokens[tokenizer.unk],
      clean_up_tokenization_spaces: false,
    })
    t.true(held.length > 200)
    for (const caption of held) {
      const ids = tokenizer.encode(caption)
      t.deepEqual(theirs.encode(caption).ids, ids, JSON.stringify(caption))
      if (ids.length === 0) continue // their decode refuses an empty list
      const row = [tokenizer.bos, ...ids, tokenizer.eos]
      const text = theirs.decode(row, { skip_special_tokens: true })
      t.is(text, tokenizer.decode(row), JSON.stringify(caption))
    }
  })
}

test('the one difference: Hugging Face reads the written form of a special id as that id', (t) => {
  for (const [, tokenizer] of tokenizers) {
    const theirs = new HuggingFaceTokenizer(JSON.parse(saveTokenizer(tokenizer)), {})
    t.true(theirs.encode('<|eos|>').ids.includes(tokenizer.eos))
    t.false(tokenizer.encode('<|eos|>').includes(tokenizer.eos))
  }
})

test('words between other separators than spaces: saved and loaded; the library joins them by spaces', (t) => {
  const options = { normalization: 'whitespace', splitOn: ',' } as const
  const tokenizer = trainWordTokenizer(['a red,round,ball', 'ball,a red'], options)
  const ids = tokenizer.encode('ball,a red,x')
  t.is(tokenizer.decode(ids), 'ball,a red')
  const text = saveTokenizer(tokenizer)
  const loaded = loadTokenizer(text)
  t.is(saveTokenizer(loaded), text)
  t.deepEqual(loaded.encode('ball,a red,x'), ids)
  t.is(loaded.decode(ids), 'ball,a red')
  const theirs = new HuggingFaceTokenizer(JSON.parse(text), { unk_token: '<|unk|>' })
  t.deepEqual(theirs.encode('ball,a red,x').ids, ids)
  t.is(theirs.decode(ids, { skip_special_tokens: true }), 'ball a red')
})

test('every separator comes back from the file', (t) => {
  for (const splitOn of ' -/\\.*)($|[]^&\n日🐶') {
    const options = { normalization: 'whitespace', splitOn } as const
    const tokenizer = trainWordTokenizer([['a', 'b'].join(splitOn)], options)
    const loaded = loadTokenizer(saveTokenizer(tokenizer))
    t.deepEqual(loaded.encode(['b', 'a'].join(splitOn)), [5, 4], splitOn)
    t.is(loaded.decode([5, 4]), ['b', 'a'].join(splitOn))
  }
})

test('"__proto__" is kept as a word of the file', (t) => {
  const json = JSON.parse(saveTokenizer(trainWordTokenizer(['dog'])))
  const text = JSON.stringify(json).replace('"dog":4', '"dog":4,"__proto__":5')
  const loaded = loadTokenizer(text)
  t.is(loaded.vocabularySize, 6)
  t.is(loaded.token(5), '__proto__')
  t.is(saveTokenizer(loadTokenizer(saveTokenizer(loaded))), saveTokenizer(loaded))
})

const wordText = saveTokenizer(trainWordTokenizer(['a dog runs']))
const bytePairText = saveTokenizer(
  trainBytePairTokenizer(['a dog', 'a dog'], { vocabularySize: 263 }),
)

/** Text with one place of the file's content replaced. */
function damaged(text: string, place: string, value: unknown): string {
  const json = JSON.parse(text)
  const keys = place.split('/')
  const last = keys.pop() as string
  const parent = keys.reduce((object, key) => object[key], json)
  if (value === undefined) delete parent[last]
  else parent[last] = value
  return JSON.stringify(json)
}

const bad: [what: string, json: unknown, message: RegExp][] = [
  ['cut off', wordText.slice(0, 200), /^tokenizer\.json: not JSON: /],
  ['empty', '', /not JSON/],
  ['null', null, /wrong value of the whole file/],
  ['a list', [], /wrong value of the whole file/],
  ['another version', damaged(wordText, 'version', '2.0'), /wrong value of version/],
  ['no model', damaged(wordText, 'model', undefined), /wrong value of model/],
  ['another model', damaged(wordText, 'model/type', 'Unigram'), /wrong value of model\.type/],
  ['no vocabulary', damaged(wordText, 'model/vocab', undefined), /wrong value of model\.vocab/],
  ['a list of words', damaged(wordText, 'model/vocab', ['a']), /wrong value of model\.vocab/],
  ['an id twice', damaged(wordText, 'model/vocab/dog', 4), /model\.vocab\["dog"\] to be an id/],
  ['an id too large', damaged(wordText, 'model/vocab/dog', 9), /model\.vocab\["dog"\] to be an id/],
  ['an id as text', damaged(wordText, 'model/vocab/dog', '5'), /model\.vocab\["dog"\] to be an id/],
  ['a missing word', damaged(wordText, 'model/vocab/a', undefined), /model\.vocab\["runs"\]/],
  ['an empty word', wordText.replace('"dog"', '""'), /model\.vocab\[""\] is not/],
  ['other specials', wordText.replaceAll('<|eos|>', '</s>'), /expected added_tokens to be/],
  ['a special moved', wordText.replace('"<|eos|>": 2', '"x": 2'), /id 2 in model\.vocab/],
  ['no specials', damaged(wordText, 'added_tokens', []), /expected added_tokens to be/],
  ['another normalizer', damaged(wordText, 'normalizer', null), /normalizer is not what/],
  [
    'another pattern',
    damaged(wordText, 'pre_tokenizer/pattern/Regex', '\\w+'),
    /pre_tokenizer is not what/,
  ],
  ['a byte missing', bytePairText.replace('"Ġ": 36', '"Ġq": 36'), /model\.vocab\["Ġ"\] is not/],
  ['not bytes', bytePairText.replace('"Ġdog"', '"日"'), /model\.vocab\["日"\] is not/],
  ['no merges', damaged(bytePairText, 'model/merges', undefined), /wrong value of model\.merges/],
  [
    'a merge of three',
    damaged(bytePairText, 'model/merges/1', ['a', 'b', 'c']),
    /wrong value of model\.merges\.1/,
  ],
  [
    'an unknown merge',
    damaged(bytePairText, 'model/merges/1', ['x', 'y']),
    /model\.merges\.1 is not .* received \["x","y"\]/,
  ],
  [
    'a merge with a special',
    damaged(bytePairText, 'model/merges/1', ['<|', 'eos|>']),
    /model\.merges\.1 is not/,
  ],
  ['dropout', damaged(bytePairText, 'model/dropout', 0.1), /model\.dropout is not what/],
  ['a prefix', damaged(bytePairText, 'model/end_of_word_suffix', '</w>'), /model\.end_of_word/],
  ['a normalizer', damaged(bytePairText, 'normalizer', { type: 'NFC' }), /normalizer is not what/],
  [
    'a prefix space',
    damaged(bytePairText, 'pre_tokenizer/add_prefix_space', true),
    /pre_tokenizer is not what/,
  ],
]

for (const [what, json, message] of bad) {
  test(`a bad file: ${what}`, (t) => {
    const error = t.throws(() => loadTokenizer(json), { instanceOf: CheckpointError, message })
    t.regex(error?.message ?? '', /damaged or was made by another program/)
  })
}

test('a message names the file it was given', (t) => {
  t.throws(() => loadTokenizer('{', 'runs/a/tokenizer.json'), {
    message: /^runs\/a\/tokenizer\.json: not JSON/,
  })
})

test('each reader refuses the other kind', (t) => {
  t.throws(() => wordTokenizerFromJSON(JSON.parse(bytePairText)), {
    instanceOf: CheckpointError,
    message: /model\.type is not what captioneer writes, received "BPE"/,
  })
  t.throws(() => bytePairTokenizerFromJSON(JSON.parse(wordText)), { instanceOf: CheckpointError })
})
