/** What a command that failed says, and the exit code it ends with. */
import { CommanderError } from 'commander'
import { ArgumentError, CaptioneerError } from '../errors.js'
import { systemReason } from '../files/system-error.js'
import { note, paint, printJson } from './terminal.js'

/** Exit codes: 1 the work failed, 2 wrong use, 130 interrupted. */
export const exitCodes = { failure: 1, usage: 2, interrupted: 130 } as const

/**
 * Prints one message; with `json` also `{ error: { code, message } }` on stdout.
 *
 * @returns the exit code
 */
export function reportFailure(error: unknown, json: boolean): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0
  const { code, message } = describe(error)
  // commander has printed the help that was missing already.
  if (code !== 'commander.help') note(`${paint(process.stderr, 'red', 'error:')} ${message}`)
  if (process.env.CAPTIONEER_DEBUG === '1') note(stackOf(error))
  const usage = error instanceof CommanderError || error instanceof ArgumentError
  if (json) printJson({ error: { code: usage ? 'ERR_ARGUMENT' : code, message } })
  return usage ? exitCodes.usage : exitCodes.failure
}

function describe(error: unknown): { code: string; message: string } {
  if (error instanceof CommanderError) {
    const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ')
    const isLost = error.code === 'commander.unknownCommand' && !message.includes('Did you mean')
    return { code: error.code, message: isLost ? `${message}; see captioneer --help` : message }
  }
  if (error instanceof CaptioneerError) return { code: error.code, message: error.message }
  const message = error instanceof Error ? error.message : String(error)
  if (systemReason(error) !== undefined) return { code: 'ERR_SYSTEM', message }
  return {
    code: 'ERR_INTERNAL',
    message:
      `${message}. This is a bug in captioneer: please report it with the output of "captioneer doctor" and of ` +
      'this command with CAPTIONEER_DEBUG=1',
  }
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause)}`
  return `${error.stack ?? error.message}${cause}`
}
