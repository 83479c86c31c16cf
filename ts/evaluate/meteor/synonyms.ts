/**
 * Which words are synonyms: words of one WordNet synset, after undoing inflection, as METEOR 1.5 looks them up. The
 * data file is written by build-synonyms.ts and carries WordNet's licence in its first lines.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { packageRoot } from '../../native.js'

/** Ids of what the word can mean; two words are synonyms when they share one. */
export type Senses = (word: string) => ReadonlySet<number>

const NONE: ReadonlySet<number> = new Set()

/** Endings that WordNet's morphology takes off, in its order: nouns, verbs, adjectives. Source: WordNet 3.0, morph(7WN). */
const ENDINGS: readonly (readonly [ending: string, replacement: string])[] = [
  ['s', ''],
  ['ses', 's'],
  ['xes', 'x'],
  ['zes', 'z'],
  ['ches', 'ch'],
  ['shes', 'sh'],
  ['men', 'man'],
  ['ies', 'y'],
  ['s', ''],
  ['ies', 'y'],
  ['es', 'e'],
  ['es', ''],
  ['ed', 'e'],
  ['ed', ''],
  ['ing', 'e'],
  ['ing', ''],
  ['er', ''],
  ['est', ''],
  ['er', 'e'],
  ['est', 'e'],
]

let loaded: Senses | undefined

/** The senses of WordNet 3.0, read when first asked for: about a quarter of a second and 30 MB. */
export function wordNetSenses(): Senses {
  loaded ??= readSenses(
    gunzipSync(readFileSync(join(packageRoot, 'ts/evaluate/meteor/synonyms.txt.gz'))).toString(),
  )
  return loaded
}

/** Reads the text of a file that `synonymsText` of build-synonyms.ts made. */
export function readSenses(text: string): Senses {
  const [, synsets = '', alone = '', forms = ''] = text.split('\n\n')
  const own = new Map<string, Set<number>>()
  let id = 0
  for (const line of [...synsets.split('\n'), ...alone.split('\n')]) {
    for (const word of line.split(' ')) {
      const ids = own.get(word)
      if (ids) ids.add(id)
      else own.set(word, new Set([id]))
    }
    id++
  }
  const bases = new Map<string, readonly string[]>()
  for (const line of forms.trimEnd().split('\n')) {
    const [form = '', ...of] = line.split(' ')
    bases.set(form, of)
  }
  const uninflected = (word: string): readonly string[] => {
    if (word.endsWith('ss') || word.length <= 2) return []
    for (const [ending, replacement] of ENDINGS) {
      if (!word.endsWith(ending)) continue
      const base = word.slice(0, -ending.length) + replacement
      if (own.has(base)) return [base]
    }
    return []
  }
  return (word) => {
    const found = [word, ...(bases.get(word) ?? uninflected(word))].flatMap((one) => [
      ...(own.get(one) ?? NONE),
    ])
    return found.length > 0 ? new Set(found) : NONE
  }
}
