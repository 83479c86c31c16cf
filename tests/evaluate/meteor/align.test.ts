/** Alignments: by hand, and against a search through all of them. */
import test from 'ava'
import { align, EXACT, STEM, SYNONYM, type Word } from '../../../ts/evaluate/meteor/align.js'
import { createRandom } from '../../../ts/random.js'

const known = new Map<string, Word>()
const meanings: Readonly<Record<string, number>> = { sofa: 1, couch: 1 }
function word(text: string): Word {
  const meaning = meanings[text]
  const made: Word = known.get(text) ?? {
    text,
    stem: text.replace(/s$/, ''),
    senses: new Set(meaning === undefined ? [] : [meaning]),
    common: false,
  }
  known.set(text, made)
  return made
}
const words = (text: string) => text.split(' ').filter(Boolean).map(word)
const aligned = (candidate: string, reference: string) => {
  const { matches, chunks } = align(words(candidate), words(reference))
  return { places: matches.map((match) => match?.at), chunks }
}

test('equal words, stems and synonyms; a chunk ends where either side has a gap', (t) => {
  const { matches, chunks } = align(words('two dogs on a sofa'), words('the dog on a big couch'))
  t.deepEqual(
    matches.map((match) => match && [match.at, match.module]),
    [undefined, [1, STEM], [2, EXACT], [3, EXACT], undefined, [4, SYNONYM]],
  )
  t.is(chunks, 2)
})

test('of several equal words those are taken that make the fewest chunks', (t) => {
  t.deepEqual(aligned('a cat and a dog', 'a dog and a cat'), { places: [3, 4, 2, 0, 1], chunks: 3 })
  t.deepEqual(aligned('a a b', 'a b'), { places: [1, 2], chunks: 1 })
})

test('of equally good alignments the one that moves words less', (t) => {
  t.deepEqual(aligned('a x y a', 'a'), { places: [0], chunks: 1 })
})

test('nothing to align', (t) => {
  t.deepEqual(aligned('', 'a b'), { places: [undefined, undefined], chunks: 0 })
  t.deepEqual(aligned('a b', ''), { places: [], chunks: 0 })
  t.deepEqual(aligned('a b', 'c d'), { places: [undefined, undefined], chunks: 0 })
})

test('as many equal words, and among such alignments as few chunks, as a full search finds', (t) => {
  const random = createRandom(3)
  const sentence = () =>
    Array.from({ length: 1 + Math.floor(7 * random()) }, () => 'abcde'[Math.floor(5 * random())])
  for (let i = 0; i < 300; i++) {
    const [candidate, reference] = [sentence(), sentence()]
    const { places, chunks } = aligned(candidate.join(' '), reference.join(' '))
    const found = { count: places.filter((place) => place !== undefined).length, chunks }
    t.deepEqual(found, bestOfAll(candidate, reference), `${candidate} | ${reference}`)
    t.is(found.chunks, chunksOf(places))
  }
})

function chunksOf(places: readonly (number | undefined)[]): number {
  return places.filter(
    (place, i) => place !== undefined && (i === 0 || places[i - 1] !== place - 1),
  ).length
}

function bestOfAll(
  candidate: readonly (string | undefined)[],
  reference: readonly (string | undefined)[],
) {
  let best = { count: 0, chunks: 0 }
  const visit = (places: (number | undefined)[]) => {
    if (places.length === reference.length) {
      const count = places.filter((place) => place !== undefined).length
      const chunks = chunksOf(places)
      if (count > best.count || (count === best.count && chunks < best.chunks))
        best = { count, chunks }
      return
    }
    visit([...places, undefined])
    for (const [at, text] of candidate.entries())
      if (text === reference[places.length] && !places.includes(at)) visit([...places, at])
  }
  visit([])
  return best
}
