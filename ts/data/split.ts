/** Which split an image belongs to: as the data say, else by a hash of its id and a seed. */
import { createHash } from 'node:crypto'

export type SplitName = 'train' | 'val' | 'test'

const NAMES: Readonly<Record<string, SplitName>> = {
  train: 'train',
  training: 'train',
  restval: 'train', // COCO's validation images that Karpathy's split trains on
  trainval: 'train',
  val: 'val',
  valid: 'val',
  validation: 'val',
  dev: 'val',
  test: 'test',
  testing: 'test',
}

/** A split by any of its usual names, a year allowed (`val2017`), or undefined. */
export function splitNamed(name: string): SplitName | undefined {
  const word = name.trim().toLowerCase().replace(/\d+$/, '')
  return Object.hasOwn(NAMES, word) ? NAMES[word] : undefined
}

/**
 * The split that a path names: by a word of its file's name (`captions_val2017.json`), else by a
 * folder's whole name (`validation/metadata.jsonl`; a folder "test tubes" names none).
 */
export function splitOfPath(relativePath: string): SplitName | undefined {
  const parts = relativePath.split(/[\\/]/)
  const words = (parts.pop() ?? '').split(/[^\p{L}\d]+/u)
  for (const name of [...words, ...parts.reverse()]) {
    const split = splitNamed(name)
    if (split) return split
  }
  return undefined
}

/** Evaluation wins over training, so that what a published split tests on stays whole. */
export function strictest(
  a: SplitName | undefined,
  b: SplitName | undefined,
): SplitName | undefined {
  for (const split of ['test', 'val', 'train'] as const) {
    if (a === split || b === split) return split
  }
  return undefined
}

/**
 * Fills in the splits that the data leave open. An image without one, and an image given as `train`
 * where the data name no `val` at all, goes to `val` when its number (see below) is under
 * `valFraction`, else to `train`. It depends on nothing but id and seed, so adding or removing
 * images never moves another; the share of `val` is therefore near the fraction, not exact.
 *
 * @param valFraction share, 0 to 1
 */
export function assignSplits<
  T extends { readonly id: string; readonly split: SplitName | undefined },
>(
  images: readonly T[],
  { seed, valFraction }: { readonly seed: number; readonly valFraction: number },
): (T & { readonly split: SplitName })[] {
  const valGiven = images.some((image) => image.split === 'val')
  return images.map((image) => {
    const given = image.split === 'train' && !valGiven ? undefined : image.split
    return { ...image, split: given ?? (uniform(image.id, seed) < valFraction ? 'val' : 'train') }
  })
}

/** A number in [0, 1): the first 48 bits of the SHA-256 of seed and id. */
function uniform(id: string, seed: number): number {
  return createHash('sha256').update(`${seed}\n${id}`).digest().readUIntBE(0, 6) / 2 ** 48
}
