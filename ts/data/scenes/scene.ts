/**
 * What a generated scene is: one or two groups of like objects on a background, and how one is drawn at random.
 * Where the objects lie is decided in layout.ts, how they look in render.ts, what is said of them in grammar.ts.
 */
import { createHash } from 'node:crypto'
import { argumentError } from '../../errors.js'
import { placeGroups } from './layout.js'
import { pick, type Random, sceneRandom } from './random.js'

export const SHAPES = ['circle', 'square', 'triangle', 'star', 'heart', 'cross'] as const
export const COLOURS = ['red', 'yellow', 'green', 'blue', 'pink', 'white'] as const
export const SIZES = ['small', 'large'] as const
export const BACKGROUNDS = ['grass', 'sky', 'water', 'table'] as const
export const RELATIONS = ['left', 'right', 'above', 'below'] as const

export type Shape = (typeof SHAPES)[number]
export type Colour = (typeof COLOURS)[number]
export type Size = (typeof SIZES)[number]
export type Background = (typeof BACKGROUNDS)[number]
export type Relation = (typeof RELATIONS)[number]

/** One object: its centre in units of the picture's side (x to the right, y down), turned by `turn` degrees. */
export interface Item {
  readonly x: number
  readonly y: number
  readonly turn: number
}

/** Like objects; the count is the number of items. */
export interface Group {
  readonly size: Size
  readonly colour: Colour
  readonly shape: Shape
  readonly items: readonly Item[]
}

/** One or two groups; `relation` says where the first lies as seen from the second, null for one group. */
export interface Scene {
  readonly id: string
  readonly background: Background
  readonly groups: readonly Group[]
  readonly relation: Relation | null
  /** Seed of the background's details (blades, clouds, waves, grain), which carry no meaning. */
  readonly detail: number
}

/** How hard the scenes are. Every word left out makes the task easier and the vocabulary smaller. */
export interface SceneOptions {
  readonly shapes: readonly Shape[]
  readonly colours: readonly Colour[]
  readonly backgrounds: readonly Background[]
  readonly relations: readonly Relation[]
  /** Most objects in a group, by size; 0 leaves the size out. More than 3 small or 2 large ones do not fit. */
  readonly maxCount: Readonly<Record<Size, number>>
  /** Share of scenes with two groups, 0-1. */
  readonly twoGroups: number
}

export const DEFAULT_SCENE_OPTIONS: SceneOptions = {
  shapes: SHAPES,
  colours: COLOURS,
  backgrounds: BACKGROUNDS,
  relations: RELATIONS,
  maxCount: { small: 3, large: 2 },
  twoGroups: 0.7,
}

/**
 * Scene `index` of the endless series `seed`: a function of its arguments alone.
 * Throws ArgumentError for options that no scene can meet.
 */
export function generateScene(
  seed: number,
  index: number,
  options: Partial<SceneOptions> = {},
): Scene {
  const chosen = { ...DEFAULT_SCENE_OPTIONS, ...options }
  checkOptions(chosen)
  const random = sceneRandom(seed, index, 0)
  const background = pick(chosen.backgrounds, random)
  const kinds = [randomKind(chosen, random)]
  if (random() < chosen.twoGroups) {
    // Groups that differed in nothing but size or count could be read as one.
    let other = randomKind(chosen, random)
    while (other.shape === kinds[0]?.shape && other.colour === kinds[0]?.colour) {
      other = randomKind(chosen, random)
    }
    kinds.push(other)
  }
  const relation = kinds.length === 2 ? pick(chosen.relations, random) : null
  const places = placeGroups(kinds, relation, random)
  const groups = kinds.map(({ size, colour, shape }, i) => ({
    size,
    colour,
    shape,
    items: places[i] ?? [],
  }))
  const detail = Math.floor(random() * 2 ** 32)
  return { id: String(index).padStart(6, '0'), background, groups, relation, detail }
}

function randomKind(options: SceneOptions, random: Random) {
  const size = pick(
    SIZES.filter((name) => options.maxCount[name] > 0),
    random,
  )
  const count = 1 + Math.floor(random() * options.maxCount[size])
  return { size, count, colour: pick(options.colours, random), shape: pick(options.shapes, random) }
}

const OPPOSITE: Readonly<Record<Relation, Relation>> = {
  left: 'right',
  right: 'left',
  above: 'below',
  below: 'above',
}

/** The relation of b to a, given that of a to b. */
export function opposite(relation: Relation): Relation {
  return OPPOSITE[relation]
}

/**
 * What the scene means, positions left out, as one line: "2 small red star | left | 1 large blue heart | sky".
 * Scenes of the same meaning have the same key, whichever group comes first.
 */
export function sceneKey(scene: Scene): string {
  const groups = scene.groups.map(
    ({ items, size, colour, shape }) => `${items.length} ${size} ${colour} ${shape}`,
  )
  if (scene.relation === null) return [...groups, scene.background].join(' | ')
  const inOrder = scene.relation === 'left' || scene.relation === 'above'
  const [first, second] = inOrder ? groups : groups.toReversed()
  const relation = inOrder ? scene.relation : opposite(scene.relation)
  return [first, relation, second, scene.background].join(' | ')
}

/**
 * The split of a scene, decided by a hash of its key: one eighth of all meanings is held out. A held-out scene therefore
 * shows a combination of attributes, relation and background that no training scene of any seed shows, whatever its
 * layout: it can be captioned only by putting together what was learned from other combinations.
 */
export function sceneSplit(scene: Scene): 'train' | 'val' {
  const hash = createHash('sha256').update(sceneKey(scene)).digest()
  return hash.readUInt8(0) < 256 / 8 ? 'val' : 'train'
}

function checkOptions(options: SceneOptions): void {
  const where = 'generateScene'
  for (const name of ['shapes', 'colours', 'backgrounds', 'relations'] as const) {
    if (options[name].length === 0) throw argumentError(where, name, 'a list with an entry', [])
  }
  const { small, large } = options.maxCount
  const whole = Number.isInteger(small) && Number.isInteger(large) && small >= 0 && large >= 0
  if (!whole || small > 3 || large > 2 || small + large === 0) {
    const expected = 'at most 3 small and 2 large objects, and not 0 of both'
    throw argumentError(where, 'maxCount', expected, options.maxCount)
  }
  if (!(options.twoGroups >= 0 && options.twoGroups <= 1)) {
    throw argumentError(where, 'twoGroups', 'a share from 0 to 1', options.twoGroups)
  }
  if (options.twoGroups > 0 && options.shapes.length * options.colours.length < 2) {
    const expected = '0 when there is one shape and one colour'
    throw argumentError(where, 'twoGroups', expected, options.twoGroups)
  }
}
