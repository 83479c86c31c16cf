/**
 * The two streams of a command: results go to stdout, everything else to stderr. Colours only on a terminal
 * that wants them. Progress is progress-bar.ts.
 */
import type { WriteStream } from 'node:tty'
import { styleText } from 'node:util'

/** One line of a result. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** The one document of `--json`, on one line. Numbers that are not finite become null. */
export function printJson(document: unknown): void {
  print(JSON.stringify(document))
}

/** One line that is no result: what is being done, a warning, an error. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** `text` in a style where `stream` is a terminal with colours; NO_COLOR and FORCE_COLOR are Node's to read. */
export function paint(
  stream: NodeJS.WriteStream,
  style: Parameters<typeof styleText>[0],
  text: string,
): string {
  return hasColours(stream) ? styleText(style, text, { validateStream: false }) : text
}

/** A reader that has seen enough (`| head`) ends the command without a complaint. */
export function endQuietlyWithoutReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      process.exit()
    })
  }
}

// Streams that are files or pipes have no `hasColors`, whatever their type says.
function hasColours(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && (stream as WriteStream).hasColors()
}
