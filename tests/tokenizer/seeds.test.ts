/** What the tokenizers of earlier captioners did wrong does not come back. */
import test from 'ava'
import { packCaptions, tokenizeCaptions } from '../../ts/data/batches.js'
import { ArgumentError } from '../../ts/errors.js'
import { normalizations, type WordOptions, wordSplitter } from '../../ts/tokenizer/normalize.js'
import type { Tokenizer } from '../../ts/tokenizer/tokenizer.js'
import { loadTokenizer, saveTokenizer } from '../../ts/tokenizer/tokenizer-json.js'
import { trainTokenizer } from '../../ts/tokenizer/train-tokenizer.js'
import { trainWordTokenizer } from '../../ts/tokenizer/word.js'

const splitWords = (text: string, options: WordOptions) => wordSplitter(options).split(text)

const all = normalizations.flatMap((normalization) =>
  [false, true].map((clean): WordOptions => ({ normalization, clean })),
)
const nameOf = ({ normalization, clean }: WordOptions) =>
  `${normalization}${clean ? ', cleaned' : ''}`

/** The tokenizer, and the same one after a trip through its file. */
function both(tokenizer: Tokenizer): readonly Tokenizer[] {
  return [tokenizer, loadTokenizer(saveTokenizer(tokenizer))]
}

for (const options of all) {
  // stanislavlia/dtsa5511_image_captioning: "end" was a word, and deleting it made "fris" of "friends".
  test(`words containing end survive: ${nameOf(options)}`, (t) => {
    const text = 'friends start to spend the weekend at the end unknown pad eos'
    for (const tokenizer of both(trainWordTokenizer([text], options))) {
      t.is(tokenizer.decode([tokenizer.bos, ...tokenizer.encode(text), tokenizer.eos]), text)
    }
  })

  test(`end token is one id, never text: ${nameOf(options)}`, (t) => {
    const marks = [
      '<end>',
      '<eos>',
      'end',
      '[PAD]',
      '</s>',
      '<|eos|>',
      '<|pad|>',
      '<|bos|>',
      '<|unk|>',
    ]
    for (const tokenizer of both(trainWordTokenizer([...marks, marks.join(' '), 'a'], options))) {
      for (const mark of marks)
        for (const id of tokenizer.encode(mark)) t.true(id >= tokenizer.unk, mark)
      const words = tokenizer.encode('a')
      t.is(tokenizer.decode([...words, tokenizer.eos, ...words]), 'a', 'nothing follows the end')
      t.false(tokenizer.decode([tokenizer.bos, ...words, tokenizer.eos]).includes('<'))
    }
  })

  // EIR's published caption: "A skier  down a slope in a  area."
  test(`[UNK] or <unk> never leaves a hole or a mark: ${nameOf(options)}`, (t) => {
    for (const tokenizer of both(trainWordTokenizer(['a skier down a slope in a area'], options))) {
      const ids = tokenizer.encode('a skier glides down a slope in a snowy area')
      t.is(ids.filter((id) => id === tokenizer.unk).length, 2)
      t.is(tokenizer.decode(ids), 'a skier down a slope in a area')
    }
  })

  // EIR's and deependujha's captions of full length never had an end.
  test(`captions of maxTokens words and more get an end token: ${nameOf(options)}`, (t) => {
    const tokenizer = trainWordTokenizer(['a b c d e f g h'], options)
    const images = ['a b c d e', 'a b c d e f', 'a b c d e f g h'].map((text, i) => ({
      id: `${i}`,
      path: `${i}.jpg`,
      captions: [text],
      split: 'train' as const,
    }))
    const tokens = tokenizeCaptions(images, tokenizer, 6)
    const { targets, offsets } = packCaptions(tokens, tokenizer)
    t.deepEqual([...offsets], [0, 6, 12, 18])
    for (const end of offsets.subarray(1)) t.is(targets[end - 1], tokenizer.eos)
    t.is(targets.filter((id) => id === tokenizer.eos).length, 3, 'and no other')
  })
}

const splits: [WordOptions, text: string, words: string[]][] = [
  // As torchtext's basic_english gives it.
  [
    { normalization: 'basic-english' },
    'A "dog\'s" toy; (3.5 m), red: Stop! Why?<br />',
    [
      'a',
      'dog',
      "'",
      's',
      'toy',
      '(',
      '3',
      '.',
      '5',
      'm',
      ')',
      ',',
      'red',
      'stop',
      '!',
      'why',
      '?',
    ],
  ],
  // As Keras's TextVectorization gives it.
  [
    { normalization: 'keras' },
    "A T-shirt, the dog's [red] under_score — café!",
    ['a', 'tshirt', 'the', 'dogs', 'red', 'underscore', '—', 'café'],
  ],
  // As EIR gives it: case and punctuation stay.
  [
    { normalization: 'whitespace' },
    ' A man  in the Field. field ',
    ['A', 'man', 'in', 'the', 'Field.', 'field'],
  ],
  [{ normalization: 'whitespace', splitOn: '-' }, 'a b-c--d', ['a b', 'c', 'd']],
  // The cleaning of deependujha/Image-Captioning: . , ? / " ' ; ` deleted, the rest kept.
  [
    { normalization: 'whitespace', clean: true },
    ' Two men\'s "hats" , a b/c ; `x`  (Yes)! ',
    ['two', 'mens', 'hats', 'a', 'bc', 'x', '(yes)!'],
  ],
  [{ clean: true }, "The boys' 3.5 m T-shirt", ['the', 'boys', '35', 'm', 't-shirt']],
]

for (const [options, text, words] of splits) {
  test(`${nameOf({ normalization: 'ptb', ...options })}: words of ${JSON.stringify(text)}`, (t) => {
    t.deepEqual(splitWords(text, options), words)
  })
}

test('basic-english comes back as English is written, and splits alike again', (t) => {
  const options = { normalization: 'basic-english' } as const
  const text = "The dog's toy, (red) isn't here. Why?"
  const [tokenizer] = both(trainWordTokenizer([text], options))
  const decoded = tokenizer?.decode(tokenizer.encode(text)) ?? ''
  t.is(decoded, "the dog's toy, (red) isn't here. why?")
  t.deepEqual(splitWords(decoded, options), splitWords(text, options))
})

test('"more than 5 times" is minCount 6', (t) => {
  const captions = ['five six', 'five six', 'five six', 'five six', 'five six', 'six']
  const tokenizer = trainWordTokenizer(captions, { minCount: 6 })
  t.deepEqual(tokenizer.encode('five six'), [tokenizer.unk, 4])
})

test('10,000 words of Keras, its "", [UNK], start and end among them, are maxSize 10,000', (t) => {
  const captions = Array.from({ length: 10_500 }, (_, i) => `w${i}`)
  const tokenizer = trainWordTokenizer(captions, { normalization: 'keras', maxSize: 10_000 })
  t.is(tokenizer.vocabularySize, 10_000)
  t.is(tokenizer.vocabularySize - 4, 9_996, 'words besides the four that are none')
})

test('a caption cannot bring a second end into the vocabulary', (t) => {
  const tokenizer = trainWordTokenizer(['a <|eos|> b'], { normalization: 'whitespace' })
  t.is(tokenizer.vocabularySize, 6)
  t.deepEqual(tokenizer.encode('a <|eos|> b').sort(), [tokenizer.unk, 4, 5])
})

test('settings that a byte-pair tokenizer has no use for are refused', (t) => {
  const settings = {
    kind: 'byte-pair',
    normalization: 'ptb',
    splitOn: ' ',
    clean: false,
    minCount: 1,
    maxSize: 300,
  } as const
  t.is(trainTokenizer(['a dog'], settings).kind, 'byte-pair')
  t.is(trainTokenizer(['a dog'], { ...settings, kind: 'word' }).kind, 'word')
  t.throws(() => trainTokenizer(['a dog'], { ...settings, clean: true }), {
    instanceOf: ArgumentError,
    message:
      'config: expected tokenizer.clean to be false with kind "byte-pair", which keeps all text as it is, received true',
  })
  t.throws(() => trainTokenizer(['a dog'], { ...settings, normalization: 'keras' }), {
    instanceOf: ArgumentError,
    message: /tokenizer\.normalization to be left out with kind "byte-pair".*received "keras"/,
  })
})
