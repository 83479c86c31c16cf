/**
 * The one grammar of the generated scenes: it writes the reference captions and decides which captions are right.
 * Every sentence names all there is (count, size, colour and shape of each group, relation, background). So none is right
 * without a look at the picture but by luck: the likeliest fits one scene in about 1,900, and no sentence of the training
 * scenes fits a held-out one (see sceneSplit).
 */
import { argumentError } from '../../errors.js'
import { inRandomOrder, type Random } from './random.js'
import { type Background, type Group, opposite, type Relation, type Scene } from './scene.js'

const PLACE: Readonly<Record<Background, string>> = {
  grass: 'on the grass',
  sky: 'in the sky',
  water: 'on the water',
  table: 'on the table',
}

const RELATION_PHRASES: Readonly<Record<Relation, readonly string[]>> = {
  left: ['to the left of', 'left of'],
  right: ['to the right of', 'right of'],
  above: ['above'],
  below: ['below', 'under'],
}

const COUNT_WORDS = ['no', 'a', 'two', 'three'] as const

/**
 * `count` different captions of the scene, lower case, at most 17 words, with as many different sentence forms as there are.
 * Throws ArgumentError when the grammar has fewer captions than asked for.
 */
export function describeScene(scene: Scene, random: Random, count = 5): string[] {
  const forms = inRandomOrder(sentenceForms(scene), random).map((form) =>
    inRandomOrder(form, random),
  )
  const captions: string[] = []
  for (let round = 0; captions.length < count; round++) {
    const next = forms.flatMap((form) => form[round] ?? [])
    if (next.length === 0) {
      const most = `at most ${captions.length} for this scene`
      throw argumentError('describeScene', 'count', most, count)
    }
    captions.push(...next)
  }
  return captions.slice(0, count)
}

/** Every caption that is right for the scene: true, complete, and a sentence of the grammar. */
export function captionsOf(scene: Scene): ReadonlySet<string> {
  return new Set(sentenceForms(scene).flat())
}

/** Whether `caption` is right for the scene; letter case, blanks and a full stop at the end do not count. */
export function isExactMatch(scene: Scene, caption: string): boolean {
  const plain = caption.toLowerCase().replace(/\s+/g, ' ').trim().replace(/ ?\.$/, '')
  return captionsOf(scene).has(plain)
}

// One list a sentence form, holding all of its wordings.
function sentenceForms(scene: Scene): readonly (readonly string[])[] {
  const place = PLACE[scene.background]
  const [first, second] = scene.groups
  if (first === undefined) return []
  if (second === undefined || scene.relation === null) return aloneForms(first, place)
  const there = pairForms(first, scene.relation, second, place)
  const back = pairForms(second, opposite(scene.relation), first, place)
  return there.map((form, i) => [...form, ...(back[i] ?? [])])
}

function aloneForms(group: Group, place: string): readonly (readonly string[])[] {
  const noun = nounPhrase(group)
  const be = isOrAre(group)
  return [
    [`${noun} ${place}`],
    [`${noun} ${be} ${place}`],
    [`there ${be} ${noun} ${place}`],
    [`${place} there ${be} ${noun}`],
    [`${place} ${be} ${noun}`],
  ]
}

function pairForms(a: Group, relation: Relation, b: Group, place: string): string[][] {
  const [first, second, be] = [nounPhrase(a), nounPhrase(b), isOrAre(a)]
  const them = b.items.length === 1 ? 'it' : 'them'
  const forms = (phrase: string) => [
    `${first} ${phrase} ${second} ${place}`,
    `${first} ${be} ${phrase} ${second} ${place}`,
    `there ${be} ${first} ${phrase} ${second} ${place}`,
    `${place} ${first} ${be} ${phrase} ${second}`,
    `${second} with ${first} ${phrase} ${them} ${place}`,
  ]
  const wordings = RELATION_PHRASES[relation].map(forms)
  return [0, 1, 2, 3, 4].map((i) => wordings.flatMap((wording) => wording[i] ?? []))
}

// The article is always "a": a word of size follows it, and neither begins with a vowel.
function nounPhrase({ items, size, colour, shape }: Group): string {
  const one = items.length === 1
  const plural = shape === 'cross' ? 'crosses' : `${shape}s`
  return `${COUNT_WORDS[items.length] ?? items.length} ${size} ${colour} ${one ? shape : plural}`
}

function isOrAre(group: Group): 'is' | 'are' {
  return group.items.length === 1 ? 'is' : 'are'
}
