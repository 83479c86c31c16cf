/** Type-checks programs that use captioneer, as modules of each kind. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { packageRoot } from '../../ts/package-root.js'
import { outcome } from '../run.js'

const use = `
export async function first(path: string): Promise<string> {
  const captioner: Captioner = await loadCaptioner('model', { device: 'auto' })
  const { text, score } = await captioner.caption(path, { beam: 3 })
  captioner.close()
  const length: number = text.length
  // @ts-expect-error captions have types
  const wrong: string = score
  return wrong + length
}
`
const imported = `import { type Captioner, loadCaptioner } from 'captioneer'\n${use}`

const projects = [
  { name: 'esm-node16', file: 'use.mts', source: imported, module: 'node16', resolution: 'node16' },
  {
    name: 'esm-bundler',
    file: 'use.ts',
    source: imported,
    module: 'esnext',
    resolution: 'bundler',
  },
  {
    name: 'cjs-nodenext',
    file: 'use.cts',
    source: `import captioneer = require('captioneer')\nconst { loadCaptioner } = captioneer\ntype Captioner = captioneer.Captioner\n${use}`,
    module: 'nodenext',
    resolution: 'nodenext',
  },
  {
    // TypeScript's node16 has no require() of ESM yet.
    name: 'cjs-node16',
    file: 'use.cts',
    source: `import type { Captioner } from 'captioneer' with { 'resolution-mode': 'import' }\nconst captioneer = import('captioneer')\nasync function loadCaptioner(...args: Parameters<typeof import('captioneer', { with: { 'resolution-mode': 'import' } }).loadCaptioner>) { return (await captioneer).loadCaptioner(...args) }\n${use}`,
    module: 'node16',
    resolution: 'node16',
  },
] as const

export async function checkTypes(app: string): Promise<string[]> {
  const types = join(app, 'node_modules/@types/node')
  cpSync(join(packageRoot, 'node_modules/@types/node'), types, { recursive: true })
  cpSync(join(packageRoot, 'node_modules/undici-types'), join(app, 'node_modules/undici-types'), {
    recursive: true,
  })
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript')), 'tsc.js')
  for (const { name, file, source, module, resolution } of projects) {
    const folder = join(app, name)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, file), source)
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          target: 'es2022',
          lib: ['es2023', 'esnext.disposable'],
          module,
          moduleResolution: resolution,
          types: ['node'],
          strict: true,
          // Once is enough for the declarations of captioneer and of what it depends on.
          skipLibCheck: name !== 'esm-node16',
          noEmit: true,
        },
        files: [file],
      }),
    )
    const { code, stdout } = await outcome(process.execPath, [tsc, '-p', folder], { cwd: app })
    if (code !== 0) throw new Error(`${name}: ${stdout.split('\n').slice(0, 8).join('\n')}`)
  }
  return [
    `${projects.map(({ name }) => name).join(', ')}; declarations of all packages checked too`,
  ]
}
