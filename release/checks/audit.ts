/** Known weaknesses of what npm installs. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { outcome } from '../run.js'

/** sharp before this version decodes with a libvips whose faults are public. */
const oldestSharp = [0, 35, 3]

export async function auditProblems(app: string): Promise<string[]> {
  const { version } = JSON.parse(
    readFileSync(join(app, 'node_modules/sharp/package.json'), 'utf8'),
  ) as { version: string }
  if (isOlder(version.split('.').map(Number), oldestSharp))
    throw new Error(`sharp is ${version}; ${oldestSharp.join('.')} or newer is needed`)
  return [`sharp ${version}`, await npmAudit(app)]
}

async function npmAudit(app: string): Promise<string> {
  // The packages of this release are not in that registry, and need not be for this.
  const { stdout, stderr } = await outcome('npm', ['audit', '--json', '--omit=dev'], { cwd: app })
  const answer = parse(stdout)
  const found = answer?.metadata?.vulnerabilities
  if (!found) {
    const why = answer?.message ?? answer?.error?.summary ?? stderr.trim().split('\n')[0]
    return `npm audit was not answered, so nothing is known of weaknesses: ${why}`
  }
  const { high = 0, critical = 0 } = found
  if (high + critical > 0)
    throw new Error(`npm audit: ${high} high, ${critical} critical; see npm audit`)
  return `npm audit: ${Object.entries(found)
    .map(([level, count]) => `${count} ${level}`)
    .join(', ')}`
}

interface Answer {
  readonly message?: string
  readonly error?: { readonly summary?: string }
  readonly metadata?: { readonly vulnerabilities?: Readonly<Record<string, number>> }
}

function parse(json: string): Answer | undefined {
  try {
    return JSON.parse(json) as Answer
  } catch {
    return undefined
  }
}

function isOlder(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < b.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}
