/** Works with what was installed: doctor, a model trained by the demo, captions by command, by import and by require. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Outcome } from '../run.js'
import { scriptWithNodeAlone, withNodeAlone } from './node-alone.js'

const esm = `
import { readFileSync } from 'node:fs'
import { loadCaptioner } from 'captioneer'
const [model, image] = JSON.parse(readFileSync('demo.json', 'utf8'))
using(await loadCaptioner(model), image)
async function using(captioner, path) {
  const { text } = await captioner.caption(path)
  const libraries = readFileSync('/proc/self/maps', 'utf8').match(/\\/\\S+\\.(so|node)\\S*/g)
  console.log(JSON.stringify({ text, libraries: [...new Set(libraries)] }))
  captioner.close()
}
`

const cjs = `
const { readFileSync } = require('node:fs')
const { caption } = require('captioneer')
const [model, image] = JSON.parse(readFileSync('demo.json', 'utf8'))
caption(image, { model }).then(({ text }) => console.log(JSON.stringify({ text })))
`

export async function checkUse(app: string): Promise<string[]> {
  const { variants, devices } = JSON.parse(
    good(await withNodeAlone(app, ['doctor', '--json'], {})),
  ) as {
    variants: { loaded: boolean; folder: string }[]
    devices: { name: string }[]
  }
  const folder = variants.find(({ loaded }) => loaded)?.folder ?? ''
  if (!folder.startsWith(join(app, 'node_modules/@captioneer')))
    throw new Error(`the addon was loaded from ${folder}, not from an installed package`)

  const words = ['demo', '--out', 'demo', '--max-seconds', '5', '--device', 'cpu', '--json']
  const { model, samples } = JSON.parse(good(await withNodeAlone(app, words, {}))) as {
    model: string
    samples: { image: string; caption: string }[]
  }
  const image = samples[0]?.image ?? ''
  writeFileSync(join(app, 'demo.json'), JSON.stringify([model, image]))
  const said = good(await withNodeAlone(app, ['caption', image, '--model', model, '--json'], {}))
  const byCommand = (JSON.parse(said) as { results: { caption: string }[] }).results[0]?.caption

  writeFileSync(join(app, 'use.mjs'), esm)
  const byImport = JSON.parse(good(await scriptWithNodeAlone(app, 'use.mjs'))) as {
    text: string
    libraries: string[]
  }
  const captions = [byCommand, byImport.text]
  if (canRequireModules()) {
    writeFileSync(join(app, 'use.cjs'), cjs)
    captions.push(
      (JSON.parse(good(await scriptWithNodeAlone(app, 'use.cjs'))) as { text: string }).text,
    )
  }
  if (!byCommand || captions.some((caption) => caption !== byCommand))
    throw new Error(`the same picture got different captions: ${captions.join(' | ')}`)
  return [
    `loaded from ${folder.slice(app.length + 1)}; devices: ${devices.map(({ name }) => name)}`,
    `"${byCommand}" by command, import${captions.length > 2 ? ' and require' : ''}`,
    `libraries beside Node's own: ${foreign(byImport.libraries, app).join(', ')}`,
  ]
}

/** Libraries that Node itself does not bring, each from the installed packages. */
function foreign(libraries: readonly string[], app: string): string[] {
  const brought = libraries
    .filter((path) => path.startsWith(app))
    .map((path) => path.slice(app.length + 14))
  const outside = libraries.filter((path) => /dnnl|gomp/.test(path) && !path.startsWith(app))
  if (outside.length > 0)
    throw new Error(`of this system, not of the package, are ${outside.join(', ')}`)
  return brought
}

/** require() of a module that is ESM: Node 20.19, 22.12 and newer. */
function canRequireModules(): boolean {
  return process.features.require_module === true
}

function good({ code, stdout, stderr }: Outcome): string {
  if (code === 0) return stdout
  throw new Error(`exit ${code}: ${stderr}${stdout}`.trim())
}
