/**
 * How the words of a candidate and of a reference belong together: METEOR's search for the alignment with the most
 * equal words and the fewest chunks. What a score follows from it is meteor.ts.
 */

/** A word with all that is compared; the same object for each occurrence. */
export interface Word {
  readonly text: string
  readonly stem: string
  readonly senses: ReadonlySet<number>
  /** So common that it says little. */
  readonly common: boolean
}

/** How two words match, from the surest down. */
export const EXACT = 0
export const STEM = 1
export const SYNONYM = 2

export interface Match {
  /** Place in the candidate. */
  readonly at: number
  readonly module: typeof EXACT | typeof STEM | typeof SYNONYM
}

export interface Alignment {
  /** For each place in the reference, what it is aligned with. */
  readonly matches: readonly (Match | undefined)[]
  /** Runs of neighbours in the reference that are aligned with neighbours in the candidate, in order. */
  readonly chunks: number
}

const BEAM = 40

/** What the search has decided for the places of the reference up to one. */
interface Path {
  readonly match: Match | undefined
  readonly before: Path | undefined
  readonly exact: number
  readonly chunks: number
  readonly distance: number
  /** Candidate place after the last match, -1 when the place before is not aligned. */
  readonly end: number
}

/**
 * A beam search from left to right over the reference. Paths with more equal words win, then those with fewer chunks,
 * then those that moved words less far. As in METEOR 1.5, a match by stem or synonym counts nothing here, and the moves
 * of matches tried at a place count for those tried after them.
 *
 * Source: Denkowski and Lavie 2011 (WMT11, Meteor 1.3), section 2.1; order of ties as in cmu-mtlab/meteor.
 */
export function align(candidate: readonly Word[], reference: readonly Word[]): Alignment {
  const options = matchesOf(candidate, reference)
  const uses = new Uint16Array(candidate.length)
  for (const at of options.flat()) uses[at.at] = (uses[at.at] ?? 0) + 1
  let paths: Path[] = [
    { match: undefined, before: undefined, exact: 0, chunks: 0, distance: 0, end: -1 },
  ]
  for (const [place, matches] of options.entries()) {
    const [only] = matches
    const next: Path[] = []
    for (const path of paths.length > 1 ? paths.sort(better).slice(0, BEAM) : paths) {
      if (only && matches.length === 1 && uses[only.at] === 1) {
        next.push(extended(path, only, path.distance + Math.abs(place - only.at)))
        continue
      }
      let distance = path.distance
      for (const match of matches) {
        if (isUsed(path, match.at)) continue
        next.push(extended(path, match, distance))
        distance += Math.abs(place - match.at)
      }
      next.push({
        match: undefined,
        before: path,
        exact: path.exact,
        chunks: path.end === -1 ? path.chunks : path.chunks + 1,
        distance,
        end: -1,
      })
    }
    paths = next
  }
  const closed = paths
    .sort(better)
    .slice(0, BEAM)
    .map((path) => (path.end === -1 ? path : { ...path, chunks: path.chunks + 1 }))
  const best = closed.sort(better)[0]
  const found: (Match | undefined)[] = []
  for (let path = best; path?.before; path = path.before) found.push(path.match)
  return { matches: found.reverse(), chunks: best?.chunks ?? 0 }
}

/** For each place in the reference all places that match it: equal words, then stems, then synonyms. */
function matchesOf(candidate: readonly Word[], reference: readonly Word[]): Match[][] {
  const identical =
    candidate.length === reference.length && candidate.every((word, i) => word === reference[i])
  return reference.map((word) => {
    const exact: Match[] = []
    const stems: Match[] = []
    const synonyms: Match[] = []
    for (const [at, other] of candidate.entries()) {
      if (other === word) exact.push({ at, module: EXACT })
      else if (!identical) {
        if (other.stem === word.stem) stems.push({ at, module: STEM })
        if (meet(other.senses, word.senses)) synonyms.push({ at, module: SYNONYM })
      }
    }
    return stems.length + synonyms.length === 0 ? exact : [...exact, ...stems, ...synonyms]
  })
}

function extended(path: Path, match: Match, distance: number): Path {
  return {
    match,
    before: path,
    exact: path.exact + (match.module === EXACT ? 1 : 0),
    chunks: path.end !== -1 && match.at !== path.end ? path.chunks + 1 : path.chunks,
    distance,
    end: match.at + 1,
  }
}

function better(a: Path, b: Path): number {
  return b.exact - a.exact || a.chunks - b.chunks || a.distance - b.distance
}

function isUsed(last: Path, at: number): boolean {
  for (let path: Path | undefined = last; path; path = path.before) {
    if (path.match?.at === at) return true
  }
  return false
}

function meet(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  const [fewer, more] = a.size < b.size ? [a, b] : [b, a]
  for (const id of fewer) if (more.has(id)) return true
  return false
}
