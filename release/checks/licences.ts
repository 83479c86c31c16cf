/** Licences of everything that `npm install captioneer` brings. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Ask for their notice to be kept, and for nothing else. */
const permissive = new Set([
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'Unlicense',
  'Python-2.0',
])

/** Taken although they ask for more. */
const exceptions = [
  {
    name: /^@img\/sharp-libvips-/,
    licence: 'LGPL-3.0-or-later',
    reason:
      'libvips, which sharp decodes images with: a shared library in a package of its own, that anyone can replace',
  },
  {
    name: /^@img\/sharp-/,
    licence: 'LGPL-3.0-or-later',
    reason: 'sharp for a system where libvips lies in the same package',
  },
] as const

interface Installed {
  readonly version?: string
  readonly license?: string | { readonly type?: string }
  readonly dev?: boolean
}

export function checkLicences(app: string): string[] {
  const lock = JSON.parse(readFileSync(join(app, 'node_modules/.package-lock.json'), 'utf8')) as {
    packages: Record<string, Installed>
  }
  const all = Object.entries(lock.packages).map(([path, { version = '', license }]) => ({
    name: path.replace(/^.*node_modules\//, ''),
    version,
    licence:
      typeof license === 'string' ? license : (license?.type ?? licenceInFolder(join(app, path))),
  }))
  const counts = new Map<string, number>()
  const notes: string[] = []
  const problems: string[] = []
  for (const { name, version, licence } of all) {
    counts.set(licence, (counts.get(licence) ?? 0) + 1)
    if (isAllowed(licence, permissive)) continue
    const exception = exceptions.find(
      (one) => one.name.test(name) && isAllowed(licence, new Set([...permissive, one.licence])),
    )
    if (exception) notes.push(`${name} ${version}: ${licence}: ${exception.reason}`)
    else problems.push(`${name} ${version}: ${licence}: not on the list of licences that are taken`)
  }
  if (problems.length > 0) throw new Error(problems.join('\n'))
  const summary = [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([licence, count]) => `${licence} ${count}`)
  return [`${all.length} packages: ${summary.join(', ')}`, ...notes]
}

/** An SPDX expression: one of what stands around OR is enough, all around AND are needed. */
function isAllowed(expression: string, licences: ReadonlySet<string>): boolean {
  return expression
    .replaceAll(/[()]/g, '')
    .split(' OR ')
    .some((choice) => choice.split(' AND ').every((licence) => licences.has(licence.trim())))
}

function licenceInFolder(folder: string): string {
  const { license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Installed
  return typeof license === 'string' ? license : (license?.type ?? 'none')
}
