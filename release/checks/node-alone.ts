/** Runs captioneer where there is Node and nothing else: no compiler, no npm, no home. */
import { existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { type Outcome, outcome } from '../run.js'

function environment(app: string): Record<string, string> {
  const bin = join(app, 'only-node')
  mkdirSync(bin, { recursive: true })
  if (!existsSync(join(bin, 'node'))) symlinkSync(process.execPath, join(bin, 'node'))
  return { PATH: bin, HOME: '/nonexistent' }
}

/** `captioneer <words>` of the package installed in `app`. */
export function withNodeAlone(
  app: string,
  words: readonly string[],
  extra: Readonly<Record<string, string>>,
): Promise<Outcome> {
  const command = join(app, 'node_modules/.bin/captioneer')
  return outcome(command, words, { cwd: app, env: { ...environment(app), ...extra } })
}

/** A script in `app`. */
export function scriptWithNodeAlone(app: string, script: string): Promise<Outcome> {
  return outcome('node', [script], { cwd: app, env: environment(app) })
}
