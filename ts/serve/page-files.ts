/**
 * The files of the page, by path: `/` is its HTML, `/page/*` what that names, `/examples` the list of example pictures and
 * `/examples/*` they (drawn by draw-examples.ts). Read once; a request's path is only looked up among these, never opened.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from '../files/system-error.js'
import { packageRoot } from '../package-root.js'

/** A file as it is sent. */
export interface PageFile {
  /** Its content-type: `text/html; charset=utf-8`. */
  readonly type: string
  readonly body: Uint8Array
}

const assets = join(packageRoot, 'ts/serve/page/assets')
const scripts = join(packageRoot, 'dist/ts/serve/page')
const drawn = join(packageRoot, 'dist/ts/serve/examples')

/** Files by the path in their address, which begins with a slash. */
export async function pageFiles(): Promise<ReadonlyMap<string, PageFile>> {
  const modules = (await readdir(scripts)).filter((name) => name.endsWith('.js'))
  const examples = await exampleTitles()
  const list = examples.map(({ file, title }) => ({ url: `examples/${file}`, title }))
  const files = await Promise.all([
    read('/', 'text/html; charset=utf-8', join(assets, 'index.html')),
    read('/page/page.css', 'text/css; charset=utf-8', join(assets, 'page.css')),
    read('/page/icon.svg', 'image/svg+xml', join(assets, 'icon.svg')),
    ...modules.map((name) =>
      read(`/page/${name}`, 'text/javascript; charset=utf-8', join(scripts, name)),
    ),
    ...examples.map(({ file }) => read(`/examples/${file}`, 'image/webp', join(drawn, file))),
  ])
  const body = Buffer.from(JSON.stringify({ examples: list }))
  return new Map([...files, ['/examples', { type: 'application/json; charset=utf-8', body }]])
}

async function read(path: string, type: string, file: string): Promise<[string, PageFile]> {
  return [path, { type, body: await readFile(file) }]
}

/** None where the TypeScript was compiled without `npm run build:ts`, which draws them. */
async function exampleTitles(): Promise<readonly { file: string; title: string }[]> {
  try {
    return JSON.parse(await readFile(join(drawn, 'examples.json'), 'utf8'))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}
