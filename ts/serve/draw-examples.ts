/**
 * Draws the example pictures of the page when the project is built: what photographs often show, from the SVG files in
 * page/assets/examples, and scenes such as the demo's model is trained on. Drawing takes seconds; a server only reads them.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import sharp from 'sharp'
import { sceneToSvg } from '../data/scenes/render.js'
import { generateScene } from '../data/scenes/scene.js'
import { packageRoot } from '../package-root.js'

const drawings = join(packageRoot, 'ts/serve/page/assets/examples')
const out = join(packageRoot, 'dist/ts/serve/examples')

const WIDTH = 720
const SIDE = 480
const QUALITY = 82
/** Scenes of the series SEED that the demo's model is not trained on, each on a ground of its own. */
const SEED = 7
const SCENES = [1183, 2898, 2436] as const

await rm(out, { recursive: true, force: true })
await mkdir(out, { recursive: true })
const titles = [...(await drawDrawings()), ...(await drawScenes())]
await writeFile(join(out, 'examples.json'), JSON.stringify(titles))

async function drawDrawings(): Promise<ExampleTitle[]> {
  const files = (await readdir(drawings)).sort()
  return await Promise.all(
    files.map(async (file) => {
      const svg = await readFile(join(drawings, file), 'utf8')
      const [, title = ''] = /<title>([^<]*)<\/title>/.exec(svg) ?? []
      return await draw(`${basename(file, '.svg')}.webp`, title, svg, WIDTH)
    }),
  )
}

async function drawScenes(): Promise<ExampleTitle[]> {
  return await Promise.all(
    SCENES.map((index, i) => {
      const svg = sceneToSvg(generateScene(SEED, index), SIDE)
      return draw(`scene-${i + 1}.webp`, `Scene ${i + 1}`, svg, SIDE)
    }),
  )
}

interface ExampleTitle {
  readonly file: string
  readonly title: string
}

async function draw(
  file: string,
  title: string,
  svg: string,
  width: number,
): Promise<ExampleTitle> {
  await sharp(Buffer.from(svg))
    .removeAlpha()
    .resize({ width })
    .webp({ quality: QUALITY })
    .toFile(join(out, file))
  return { file, title }
}
