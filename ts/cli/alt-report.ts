/** How `captioneer alt` shows what it found and proposes. */
import type { Document } from '../alt/document.js'
import type { Proposal, ReviewedDocument } from '../alt/propose.js'
import { exitCodes } from './failure.js'
import { counted, shownPath, thousands } from './format.js'
import { given } from './options.js'
import { note, paint, print, printJson } from './terminal.js'

/** A unified diff that `git apply` takes; with colours where stdout is a terminal, unless it is for JSON. */
export async function paintedDiff(
  { path, text: before }: Document,
  after: string,
  forJson: boolean,
): Promise<string> {
  const { createTwoFilesPatch, FILE_HEADERS_ONLY } = await import('diff')
  const name = shownPath(path).replaceAll('\\', '/')
  const headers = { context: 2, headerOptions: FILE_HEADERS_ONLY }
  const patch = createTwoFilesPatch(`a/${name}`, `b/${name}`, before, after, '', '', headers)
  if (forJson) return patch
  const styles = { '+': 'green', '-': 'red', '@': 'cyan' } as const
  return patch
    .split('\n')
    .map((line) => {
      const style = /^(---|\+\+\+) /.test(line) ? 'bold' : styles[line[0] as keyof typeof styles]
      return style === undefined ? line : paint(process.stdout, style, line)
    })
    .join('\n')
}

/** In the document's own bytes, as a patch wants it; a terminal takes UTF-8 only. */
export function printDiff({ encoding }: Document, diff: string): void {
  process.stdout.write(diff, process.stdout.isTTY ? 'utf8' : encoding)
}

/** A document's entry in the document of --json. */
export function altRows({ document, counts }: ReviewedDocument, proposals: readonly Proposal[]) {
  return {
    path: document.path,
    counts,
    images: proposals.map(({ image: { src, line, column }, file, reason, alt, score }) => ({
      line,
      column,
      ...given({ src, file, alt, score, reason }),
    })),
  }
}

export function countsLine(
  reviews: readonly ReviewedDocument[],
  proposals: readonly Proposal[],
  isWritten: boolean,
): string {
  const proposed = proposals.filter(({ alt }) => alt !== undefined).length
  const without = proposals.length - proposed
  const verb = isWritten ? 'written' : 'proposed'
  const others = without > 0 ? `, ${counted(without, 'image')} without` : ''
  const advice = proposed > 0 && !isWritten ? ' Read before you write with --write.' : ''
  return (
    `${counted(reviews.length, 'document')} with ${counted(imagesOf(reviews), 'image')}: ` +
    `${counted(proposed, 'alt text')} ${verb}${others}.${advice}`
  )
}

/** Lists images without alt text; the exit code says whether there are any, or documents that could not be looked at. */
export function reportMissing(
  reviews: readonly ReviewedDocument[],
  failures: readonly object[],
  json: boolean,
): void {
  const lines = reviews.flatMap(({ document, missing }) =>
    missing.map(
      ({ image: { line, column, src } }) =>
        `${shownPath(document.path)}:${line}:${column}: ${src ?? 'an image without an address'}`,
    ),
  )
  if (json) printJson({ documents: reviews.map((one) => altRows(one, one.missing)), failures })
  else for (const line of lines) print(line)
  note(
    `${counted(reviews.length, 'document')} with ${counted(imagesOf(reviews), 'image')}: ` +
      `${thousands(lines.length)} without alt text`,
  )
  if (lines.length > 0 || failures.length > 0) process.exitCode = exitCodes.failure
}

function imagesOf(reviews: readonly ReviewedDocument[]): number {
  return reviews.reduce((sum, { document }) => sum + document.images.length, 0)
}
