/** WordNet's synonyms: the shipped file, and making one from index files. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import test from 'ava'
import { synonymsText } from '../../../ts/evaluate/meteor/build-synonyms.js'
import { readSenses, type Senses, wordNetSenses } from '../../../ts/evaluate/meteor/synonyms.js'
import { packageRoot } from '../../../ts/native.js'

const meet = (senses: Senses, a: string, b: string) =>
  [...senses(a)].some((id) => senses(b).has(id))

test('words of one synset are synonyms, inflected or not; others are not', (t) => {
  const senses = wordNetSenses()
  for (const [a, b] of [
    ['bike', 'bicycle'],
    ['bikes', 'bicycle'],
    ['couch', 'sofas'],
    ['woman', 'women'],
    ['adult', 'grownup'],
    ['child', 'kids'],
    ['running', 'ran'],
    ['geese', 'goose'],
    ['bigger', 'large'],
  ] as const)
    t.true(meet(senses, a, b), `${a} ${b}`)
  for (const [a, b] of [
    ['dog', 'cat'],
    ['bike', 'car'],
    ['qwertyuiop', 'dog'],
  ] as const)
    t.false(meet(senses, a, b), `${a} ${b}`)
  t.is(senses('qwertyuiop').size, 0)
  t.is(senses('').size, 0)
})

test('the shipped file begins with the licence of WordNet', (t) => {
  const file = join(packageRoot, 'ts/evaluate/meteor/synonyms.txt.gz')
  const [licence = ''] = gunzipSync(readFileSync(file)).toString().split('\n\n')
  t.regex(licence, /WordNet 3\.0 Copyright 2006 by[\s#]+Princeton University/)
  t.true(licence.split('\n').every((line) => line.startsWith('#')))
})

const nouns = [
  '  1 This is the licence.',
  'box n 1 1 @ 1 0 00000030  ',
  'bus n 2 1 @ 2 1 00000010 00000020  ',
  'coach n 1 1 @ 1 0 00000010  ',
  'ox n 1 1 @ 1 0 00000040  ',
  'school_bus n 1 1 @ 1 0 00000020  ',
].join('\n')
const verbs = 'carry v 1 1 @ 1 0 00000030  \nbox v 1 1 @ 1 0 00000050  '

test('a file of synonyms holds what index files say of single words', (t) => {
  const text = synonymsText(
    [nouns, verbs],
    ['oxen ox\n', 'carried carry\n'],
    'a licence\nof two lines',
  )
  const [head = '', ...blocks] = text.split('\n\n')
  t.regex(head, /^# Single words, synsets .*\n.*\n#\n# a licence\n# of two lines$/)
  t.deepEqual(blocks, [
    // The noun box and the verb carry share an offset, which METEOR takes for a synset.
    'box carry\nbus coach',
    'ox',
    'carried carry\noxen ox',
  ])
  const senses = readSenses(`${text}\n`)
  t.true(meet(senses, 'bus', 'coach'))
  t.true(meet(senses, 'buses', 'coaches'))
  t.true(meet(senses, 'oxen', 'ox'))
  t.true(meet(senses, 'boxes', 'carried'))
  t.false(meet(senses, 'bus', 'box'))
  t.is(senses('school_bus').size, 0)
  // Irregular forms are not looked at a second time: "carrieds" is none of "carry".
  t.is(senses('carrieds').size, 0)
})
