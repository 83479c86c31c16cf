/** The generated scenes: drawing, wording, truth, splits, pictures and the folder they are written to. */
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import sharp from 'sharp'
import { readDataset } from '../../ts/data/dataset.js'
import { captionsOf, describeScene, isExactMatch } from '../../ts/data/scenes/grammar.js'
import { RADIUS } from '../../ts/data/scenes/layout.js'
import { sceneRandom } from '../../ts/data/scenes/random.js'
import { renderScene, renderScenePng, sceneToSvg } from '../../ts/data/scenes/render.js'
import {
  BACKGROUNDS,
  COLOURS,
  type Group,
  generateScene,
  opposite,
  type Scene,
  sceneKey,
  sceneSplit,
} from '../../ts/data/scenes/scene.js'
import { SHAPE_PATHS } from '../../ts/data/scenes/shapes.js'
import { readScenes, writeScenes } from '../../ts/data/scenes/write.js'
import { ArgumentError, DataError } from '../../ts/errors.js'
import { folderOf } from './folder.js'

const series = (seed: number, count: number) =>
  Array.from({ length: count }, (_, index) => generateScene(seed, index))

const item = { x: 0.5, y: 0.5, turn: 0 }
const star: Group = { size: 'small', colour: 'red', shape: 'star', items: [item] }
const crosses: Group = { size: 'large', colour: 'blue', shape: 'cross', items: [item, item] }
const pair: Scene = {
  id: '000000',
  background: 'grass',
  groups: [star, crosses],
  relation: 'above',
  detail: 1,
}

test('a scene is a function of seed and index alone', (t) => {
  const forward = series(7, 20)
  t.deepEqual(generateScene(7, 19), forward[19])
  t.notDeepEqual(generateScene(8, 19), forward[19])
  t.is(new Set(forward.map((scene) => JSON.stringify(scene.groups))).size, 20)
})

test('every word of the inventory is used, about equally often', (t) => {
  const scenes = series(1, 4000)
  const groups = scenes.flatMap((scene) => scene.groups)
  for (const [lists, values] of [
    [groups.map((group) => group.colour), 6],
    [groups.map((group) => group.shape), 6],
    [groups.map((group) => group.size), 2],
    [scenes.map((scene) => scene.background), 4],
    [scenes.flatMap((scene) => scene.relation ?? []), 4],
  ] as const) {
    const counts = new Map<string, number>()
    for (const value of lists) counts.set(value, (counts.get(value) ?? 0) + 1)
    t.is(counts.size, values)
    for (const [value, count] of counts) {
      t.true(Math.abs((count * values) / lists.length - 1) < 0.15, `${value}: ${count}`)
    }
  }
  t.true(Math.abs(groups.length / scenes.length - 1.7) < 0.05)
})

test('five different captions, each of them right, at most 18 words', (t) => {
  for (const [index, scene] of series(2, 500).entries()) {
    const captions = describeScene(scene, sceneRandom(2, index, 2))
    t.is(new Set(captions).size, 5)
    for (const caption of captions) {
      t.true(captionsOf(scene).has(caption))
      t.true(caption.split(' ').length <= 18, caption)
      t.is(caption, caption.toLowerCase())
    }
  }
})

test('the sentences of one pair, word for word', (t) => {
  t.deepEqual([...captionsOf(pair)].sort(), [
    'a small red star above two large blue crosses on the grass',
    'a small red star is above two large blue crosses on the grass',
    'a small red star with two large blue crosses below it on the grass',
    'a small red star with two large blue crosses under it on the grass',
    'on the grass a small red star is above two large blue crosses',
    'on the grass two large blue crosses are below a small red star',
    'on the grass two large blue crosses are under a small red star',
    'there are two large blue crosses below a small red star on the grass',
    'there are two large blue crosses under a small red star on the grass',
    'there is a small red star above two large blue crosses on the grass',
    'two large blue crosses are below a small red star on the grass',
    'two large blue crosses are under a small red star on the grass',
    'two large blue crosses below a small red star on the grass',
    'two large blue crosses under a small red star on the grass',
    'two large blue crosses with a small red star above them on the grass',
  ])
})

test('one group: number, article and verb agree', (t) => {
  const one: Scene = { ...pair, groups: [star], relation: null, background: 'sky' }
  const two: Scene = { ...pair, groups: [crosses], relation: null, background: 'table' }
  t.true(captionsOf(one).has('there is a small red star in the sky'))
  t.true(captionsOf(two).has('on the table are two large blue crosses'))
  for (const caption of captionsOf(one)) t.notRegex(caption, /\bare\b|stars/)
  for (const caption of captionsOf(two)) t.notRegex(caption, /\bis\b|\ba\b|cross\b/)
})

test('isExactMatch forgives case, blanks and a full stop, and nothing else', (t) => {
  t.true(isExactMatch(pair, ' A small  red star IS above two large blue crosses on the grass. '))
  for (const wrong of [
    'a small green star is above two large blue crosses on the grass',
    'a large red star is above two large blue crosses on the grass',
    'a small red heart is above two large blue crosses on the grass',
    'two small red stars are above two large blue crosses on the grass',
    'a small red star is above three large blue crosses on the grass',
    'a small red star is below two large blue crosses on the grass',
    'a small red star is left of two large blue crosses on the grass',
    'a small red star is above two large blue crosses on the table',
    'a small red star is above two large blue crosses',
    'a small red star is on the grass',
    'a small blue star is above two large red crosses on the grass',
    'a small red star are above two large blue crosses on the grass',
    'a small red star is above two large blue crosses on the grass on the grass',
    '',
  ]) {
    t.false(isExactMatch(pair, wrong), wrong)
  }
})

test('describeScene refuses more captions than there are', (t) => {
  t.is(describeScene(pair, sceneRandom(1, 1, 2), 15).length, 15)
  const error = t.throws(() => describeScene(pair, sceneRandom(1, 1, 2), 16))
  t.true(error instanceof ArgumentError)
  t.is(error?.message, 'describeScene: expected count to be at most 15 for this scene, received 16')
})

test('key, split and captions do not depend on which group comes first', (t) => {
  for (const scene of series(3, 300).filter((candidate) => candidate.relation !== null)) {
    if (scene.relation === null) continue
    const turned: Scene = {
      ...scene,
      groups: scene.groups.toReversed(),
      relation: opposite(scene.relation),
    }
    t.is(sceneKey(turned), sceneKey(scene))
    t.is(sceneSplit(turned), sceneSplit(scene))
    t.deepEqual([...captionsOf(turned)].sort(), [...captionsOf(scene)].sort())
  }
  t.is(sceneKey(pair), '1 small red star | above | 2 large blue cross | grass')
})

test('the relation is plain: disjoint along its axis, and farther apart along it than across', (t) => {
  for (const scene of series(4, 1000)) {
    const [first, second] = scene.groups
    if (first === undefined || second === undefined || scene.relation === null) continue
    const forward = scene.relation === 'left' || scene.relation === 'above'
    const [near, far] = forward ? [first, second] : [second, first]
    const horizontal = scene.relation === 'left' || scene.relation === 'right'
    const middle = (group: Group, axis: 'x' | 'y') =>
      group.items.reduce((sum, place) => sum + place[axis], 0) / group.items.length
    const [dx, dy] = [middle(far, 'x') - middle(near, 'x'), middle(far, 'y') - middle(near, 'y')]
    const [along, across] = horizontal ? [dx, dy] : [dy, dx]
    t.true(along > 1.69 * Math.abs(across))
    const axis = horizontal ? 'x' : 'y'
    const end = Math.max(...near.items.map((place) => place[axis] + RADIUS[near.size]))
    const start = Math.min(...far.items.map((place) => place[axis] - RADIUS[far.size]))
    t.true(end < start)
  }
})

test('objects neither overlap nor leave the picture', async (t) => {
  const side = 128
  for (const scene of series(5, 80)) {
    const paths = scene.groups.flatMap(({ shape, size, items }) =>
      items.map(({ x, y, turn }) => {
        const place = `translate(${x} ${y}) rotate(${turn}) scale(${RADIUS[size]})`
        return `<path d="${SHAPE_PATHS[shape]}" fill="#fff" fill-opacity=".5" transform="${place}"/>`
      }),
    )
    const svg =
      `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}" viewBox="0 0 1 1">` +
      `<rect width="1" height="1"/>${paths.join('')}</svg>`
    const mask = await sharp(Buffer.from(svg)).extractChannel(0).raw().toBuffer()
    const at = (i: number) => mask[i] ?? 0
    t.true(Math.max(...mask) <= 129, `overlap in scene ${scene.id}`)
    t.true(Math.max(...mask) >= 127)
    for (let i = 0; i < side; i++) {
      const edge = at(i) + at(i * side) + at(i * side + side - 1) + at(side * (side - 1) + i)
      t.is(edge, 0, `scene ${scene.id} touches the edge`)
    }
  }
})

test('each colour stands out from every ground and from every other colour', async (t) => {
  for (const background of BACKGROUNDS) {
    const colours: Lab[] = []
    for (const colour of COLOURS) {
      const group: Group = { size: 'large', colour, shape: 'circle', items: [item] }
      const scene: Scene = { ...pair, background, groups: [group], relation: null }
      const pixels = await renderScene(scene, 64)
      const inside = meanLab(pixels, (distance) => distance < 0.13)
      const outside = meanLab(pixels, (distance) => distance > 0.26 && distance < 0.4)
      t.true(difference(inside, outside) > 30, `${colour} on ${background}`)
      for (const other of colours)
        t.true(difference(inside, other) > 40, `${colour}, ${background}`)
      colours.push(inside)
    }
  }
})

test('pictures have the size asked for, the same bytes each time, as pixels and as PNG', async (t) => {
  const scene = generateScene(6, 0)
  for (const size of [16, 64, 129]) {
    const pixels = await renderScene(scene, size)
    t.is(pixels.length, size * size * 3)
    t.deepEqual(await renderScene(scene, size), pixels)
    const png = sharp(await renderScenePng(scene, size))
    const { width, height, channels } = await png.metadata()
    t.deepEqual([width, height, channels], [size, size, 3])
    t.deepEqual(new Uint8Array(await png.raw().toBuffer()), pixels)
  }
  t.throws(() => sceneToSvg(scene, 0), { instanceOf: ArgumentError })
})

test('options that no scene can meet are refused', (t) => {
  for (const options of [
    { colours: [] },
    { maxCount: { small: 4, large: 1 } },
    { maxCount: { small: 0, large: 0 } },
    { twoGroups: 1.5 },
    { colours: ['red'], shapes: ['star'] },
  ] as const) {
    t.throws(() => generateScene(1, 0, options), { instanceOf: ArgumentError })
  }
  const scene = generateScene(1, 0, { colours: ['pink'], maxCount: { small: 0, large: 1 } })
  for (const group of scene.groups) t.like(group, { colour: 'pink', size: 'large' })
})

const settings = { train: 30, val: 10, seed: 1, size: 32 }

test('a folder of scenes is a data set of two splits that share no meaning', async (t) => {
  const folder = await folderOf(t, {})
  const seen: number[] = []
  await writeScenes(folder, { ...settings, onProgress: (done) => seen.push(done) })
  t.is(seen.at(-1), 40)
  const { images, problems } = await readDataset(folder)
  t.deepEqual(problems, [])
  const scenes = await readScenes(folder)
  const keys = { train: new Set<string>(), val: new Set<string>() }
  for (const { id, path, captions, split } of images) {
    const scene = scenes.get(id)
    t.true(scene !== undefined && split !== 'test')
    if (scene === undefined || split === 'test') continue
    t.is(captions.length, 5)
    for (const caption of captions) t.true(isExactMatch(scene, caption))
    t.is((await sharp(path).metadata()).width, 32)
    keys[split].add(sceneKey(scene))
  }
  t.deepEqual(
    [...keys.train].filter((key) => keys.val.has(key)),
    [],
  )
  t.is(images.filter((image) => image.split === 'val').length, 10)
})

test('writing again draws only what is missing; other settings replace the folder', async (t) => {
  const folder = await folderOf(t, {})
  const controller = new AbortController()
  const onProgress = (done: number) => done === 12 && controller.abort()
  const aborted = writeScenes(folder, { ...settings, onProgress, signal: controller.signal })
  t.is(await aborted.catch((error: unknown) => error), controller.signal.reason)
  const images = join(folder, 'images')
  const early = await readdir(images)
  t.true(early.length >= 12 && early.length < 40)
  t.false((await readdir(folder)).includes('dataset_scenes.json'))

  const kept = join(images, early[0] ?? '')
  const { mtimeMs } = await stat(kept)
  await writeScenes(folder, settings)
  t.is((await readdir(images)).length, 40)
  t.is((await stat(kept)).mtimeMs, mtimeMs)

  await writeScenes(folder, { ...settings, train: 5, val: 2 })
  t.is((await readdir(images)).length, 7)
  t.is((await readDataset(folder)).images.length, 7)
})

test('foreign and damaged folders are refused with what to do', async (t) => {
  const foreign = await folderOf(t, { 'images/holiday.jpg': 'jpeg' })
  await t.throwsAsync(writeScenes(foreign, settings), {
    instanceOf: DataError,
    message: /found "images" without scenes\.json\. Choose another folder/,
  })
  t.deepEqual(await readdir(join(foreign, 'images')), ['holiday.jpg'])
  await t.throwsAsync(readScenes(foreign), { instanceOf: DataError, message: /ENOENT/ })

  const damaged = await folderOf(t, {})
  await writeScenes(damaged, { ...settings, train: 3, val: 1 })
  const path = join(damaged, 'scenes.json')
  const text = await readFile(path, 'utf8')
  for (const broken of [
    text.slice(0, text.length / 2),
    text.replace(/"shape":"[a-z]+"/, '"shape":"blob"'),
    text.replace(/"relation":[^,]+/, ''),
  ]) {
    await writeFile(path, broken)
    await t.throwsAsync(readScenes(damaged), { instanceOf: DataError, message: /scenes\.json/ })
  }
  await rm(path)
  await t.throwsAsync(writeScenes(damaged, { ...settings, size: 8 }), {
    instanceOf: ArgumentError,
    message: 'writeScenes: expected size to be an integer from 16 to 4096, received 8',
  })
  await t.throwsAsync(writeScenes(await folderOf(t, {}), { ...settings, scene: ONE_MEANING }), {
    instanceOf: DataError,
    message: /too few fall to each split/,
  })
})

const ONE_MEANING = {
  colours: ['red'],
  shapes: ['star'],
  backgrounds: ['sky'],
  maxCount: { small: 1, large: 0 },
  twoGroups: 0,
} as const

type Lab = readonly [number, number, number]

// CIE 1976 L*a*b* of the mean sRGB colour of a part of a 64 x 64 picture, chosen by distance from its centre (sides).
function meanLab(pixels: Uint8Array, chosen: (distance: number) => boolean): Lab {
  const sum = [0, 0, 0]
  let count = 0
  for (let i = 0; i < 64 * 64; i++) {
    const [x, y] = [(i % 64) + 0.5 - 32, Math.floor(i / 64) + 0.5 - 32]
    if (!chosen(Math.hypot(x, y) / 64)) continue
    for (const c of [0, 1, 2]) sum[c] = (sum[c] ?? 0) + (pixels[3 * i + c] ?? 0)
    count++
  }
  const linear = (total = 0) => {
    const value = total / count / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  }
  const [r, g, b] = [linear(sum[0]), linear(sum[1]), linear(sum[2])]
  const f = (v: number) => (v > 216 / 24389 ? Math.cbrt(v) : ((24389 / 27) * v + 16) / 116)
  const x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505)
  const y = f(0.2126 * r + 0.7152 * g + 0.0722 * b)
  const z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089)
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)]
}

function difference(a: Lab, b: Lab): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])
}
