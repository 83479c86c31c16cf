/**
 * Where the objects of a scene lie, such that nothing overlaps or leaves the picture and the relation is plain to see.
 * All lengths are in units of the picture's side.
 */
import type { Random } from './random.js'
import type { Item, Relation, Shape, Size } from './scene.js'

/** Radius of a circle of each size: about 12 and 22 pixels across in a picture of 64. */
export const RADIUS: Readonly<Record<Size, number>> = { small: 0.095, large: 0.17 }

/** Farthest point of each shape from its centre, in radii: shapes of one size cover about the same area. */
export const REACH: Readonly<Record<Shape, number>> = {
  circle: 1,
  square: 1.2,
  triangle: 1.24,
  star: 1.24,
  heart: 1.2,
  cross: 1.16,
}

const MARGIN = 0.02
const GAP = 0.035
const MAX_TURN = 10

/** What the layout needs to know of a group. */
interface Kind {
  readonly shape: Shape
  readonly size: Size
  readonly count: number
}

/** Radius of the circle that an object never leaves, however it is turned. */
export function reachOf(kind: { readonly shape: Shape; readonly size: Size }): number {
  return RADIUS[kind.size] * REACH[kind.shape]
}

/**
 * Items of each group. Two groups lie on the two sides of a line across the axis of the relation, and the distance of their
 * centres along that axis is at least three times that across it, so that "left of" is never as good as "above".
 */
export function placeGroups(
  kinds: readonly Kind[],
  relation: Relation | null,
  random: Random,
): readonly (readonly Item[])[] {
  const [first, second] = kinds
  if (first === undefined) return []
  if (second === undefined || relation === null) {
    return [placeItems(first, MARGIN, 1 - MARGIN, random() < 0.5, random)]
  }
  const horizontal = relation === 'left' || relation === 'right'
  const inOrder = relation === 'left' || relation === 'above'
  const [near, far] = inOrder ? [first, second] : [second, first]
  // Ends: centres exactly side by side are possible for every pair of groups that fits.
  for (;;) {
    const low = MARGIN + 2 * reachOf(near) + GAP / 2
    const high = 1 - MARGIN - 2 * reachOf(far) - GAP / 2
    const line = low + (high - low) * random()
    const nearItems = placeItems(near, MARGIN, line - GAP / 2, horizontal, random)
    const farItems = placeItems(far, line + GAP / 2, 1 - MARGIN, horizontal, random)
    const dx = Math.abs(mean(nearItems, 'x') - mean(farItems, 'x'))
    const dy = Math.abs(mean(nearItems, 'y') - mean(farItems, 'y'))
    const [along, across] = horizontal ? [dx, dy] : [dy, dx]
    if (along >= 3 * across) return inOrder ? [nearItems, farItems] : [farItems, nearItems]
  }
}

// Items between `from` and `to` on the axis of the relation; on the other axis they follow one another without touching,
// with what room is left broken at random places.
function placeItems(
  kind: Kind,
  from: number,
  to: number,
  horizontal: boolean,
  random: Random,
): readonly Item[] {
  const reach = reachOf(kind)
  const slack = 1 - 2 * MARGIN - kind.count * 2 * reach - (kind.count - 1) * GAP
  const breaks = Array.from({ length: kind.count }, () => slack * random()).sort((a, b) => a - b)
  return breaks.map((room, i) => {
    const across = MARGIN + reach + i * (2 * reach + GAP) + room
    const along = from + reach + (to - from - 2 * reach) * random()
    const turn = kind.shape === 'circle' ? 0 : MAX_TURN * (2 * random() - 1)
    const [x, y] = horizontal ? [along, across] : [across, along]
    return { x: rounded(x), y: rounded(y), turn: rounded(turn) }
  })
}

function mean(items: readonly Item[], axis: 'x' | 'y'): number {
  return items.reduce((sum, item) => sum + item[axis], 0) / items.length
}

// Four digits keep the file of scenes small; the error is a 150th of a pixel at 64 pixels.
function rounded(value: number): number {
  return Math.round(value * 1e4) / 1e4
}
