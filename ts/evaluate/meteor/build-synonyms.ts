/**
 * Makes synonyms.txt.gz from WordNet 3.0: `node dist/ts/evaluate/meteor/build-synonyms.js DICT LICENSE OUT`, with the
 * folder of Princeton's index.* and *.exc files and the text of its licence. Needed only when the rules change.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { argv } from 'node:process'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'

const PARTS = ['noun', 'verb', 'adj', 'adv'] as const

/** Captions are split at everything else before METEOR sees them, so that no other word can match. */
const MATCHABLE = /^[0-9a-z.]+$/

const ORIGIN = `Single words, synsets and irregular forms of WordNet 3.0, without anything else that it holds; selected by
captioneer's build-synonyms. The licence of WordNet:`

/**
 * Three blocks after the licence, with an empty line between: synsets of several words, one a line; words of which all
 * synsets have one word; irregular forms, each with its base forms.
 *
 * A synset is known by its offset alone, as in METEOR, so that a noun and a verb at the same offset of their files fall
 * together. A synset of one word says nothing about a word that is in a larger one too, and is left out.
 *
 * @param index content of index.noun, .verb, .adj and .adv
 * @param exceptions content of noun.exc and so on
 */
export function synonymsText(
  index: readonly string[],
  exceptions: readonly string[],
  licence: string,
): string {
  const synsets = new Map<number, Set<string>>()
  const words = new Set<string>()
  for (const line of index.flatMap((text) => text.split('\n'))) {
    if (line.startsWith(' ') || line === '') continue
    const [lemma = '', , count, ...rest] = line.trimEnd().split(' ')
    if (!MATCHABLE.test(lemma)) continue
    words.add(lemma)
    for (const offset of rest.slice(-Number(count)).map(Number)) {
      const members = synsets.get(offset)
      if (members) members.add(lemma)
      else synsets.set(offset, new Set([lemma]))
    }
  }
  const several = [...synsets.values()].filter((members) => members.size > 1)
  const lines = new Set(several.map((members) => [...members].sort().join(' ')))
  for (const members of several) for (const word of members) words.delete(word)
  const forms = new Map<string, string[]>()
  for (const line of exceptions.flatMap((text) => text.split('\n'))) {
    const [form = '', ...bases] = line.trim().split(' ')
    if (MATCHABLE.test(form)) forms.set(form, [...(forms.get(form) ?? []), ...bases])
  }
  return [
    `${ORIGIN}\n\n${licence.trim()}`.replace(/^/gm, '# ').replace(/ +$/gm, ''),
    [...lines].sort().join('\n'),
    [...words].sort().join('\n'),
    [...forms]
      .map(([form, bases]) => [form, ...bases].join(' '))
      .sort()
      .join('\n'),
  ].join('\n\n')
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) {
  const [dict = '', licence = '', out = ''] = argv.slice(2)
  const read = (name: string) => readFileSync(join(dict, name), 'latin1')
  const text = synonymsText(
    PARTS.map((part) => read(`index.${part}`)),
    PARTS.map((part) => read(`${part}.exc`)),
    readFileSync(licence, 'utf8'),
  )
  writeFileSync(out, gzipSync(`${text}\n`, { level: 9 }))
}
