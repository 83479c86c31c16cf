/** What became of pictures whose captions go into files: counted, listed, and told at the end. */
import { resolve } from 'node:path'
import { IMAGE_EXTENSIONS } from '../data/image.js'
import type { Outcome } from '../folders/caption-pictures.js'
import type { CaptionFormat, Plan, Planned } from '../folders/destination.js'
import type { FoundPictures } from '../folders/find-pictures.js'
import type { CaptionFlags } from './caption.js'
import { resultRow } from './caption-shared.js'
import { exitCodes } from './failure.js'
import { counted, duration, shownPath, thousands, three } from './format.js'

export interface CaptionSummary {
  /** Notes what is skipped and what fails already. @returns what is to be captioned */
  take(plan: Plan, only?: ReadonlySet<string>): readonly Planned[]
  /** Lines on what was found besides pictures. */
  remarks(found: FoundPictures, plan: Plan): readonly string[]
  /** A line for each picture that would be captioned. */
  intentions(): readonly string[]
  /** @returns what is wrong with it, if anything */
  add(outcome: Outcome): string | undefined
  document(): object
  closing(): string
  /** Pictures that are unsure, and those that failed, again, where there were many others between. */
  troubles(): readonly string[]
  exitCode(strict: boolean): number
}

/** Extensions of files that are no pictures and nothing to speak of. */
const CAPTION_FILES = ['.txt', '.json', '.jsonl', '.csv', '.html', '.caption', '']
const MOST_LISTED = 10

interface Trouble {
  readonly image: string
  readonly reason: string
}

export function createSummary(flags: CaptionFlags, format: CaptionFormat): CaptionSummary {
  const started = performance.now()
  const intended: Planned[] = []
  const skipped: Planned[] = []
  const results: object[] = []
  const failed: Trouble[] = []
  const unsure: Trouble[] = []
  let written = 0
  let others: Readonly<Record<string, number>> = {}
  let passedOver: FoundPictures['passedOver'] = []

  const fail = ({ picture: { path } }: Planned, reason: string) => {
    failed.push({ image: path, reason })
    results.push({ image: path, error: reason })
    return reason
  }
  return {
    take({ planned }, only) {
      const wanted = planned.filter(({ picture }) => !only || only.has(resolve(picture.path)))
      for (const item of wanted) {
        if (item.action === 'skip' && !only) skipped.push(item)
        if (item.action === 'fail') fail(item, item.reason ?? '')
      }
      const missing = wanted.filter(({ action }) => action === 'write')
      intended.push(...missing)
      return missing
    },
    remarks(found, plan) {
      const ours = [...CAPTION_FILES, flags.extension]
      others = Object.fromEntries([...found.others].filter(([name]) => !ours.includes(name)))
      passedOver = found.passedOver
      const kinds = Object.entries(others).map(([name, count]) => `${thousands(count)} ${name}`)
      const left = `left alone: ${kinds.join(', ')} (pictures are ${IMAGE_EXTENSIONS.join(', ')})`
      const abandoned =
        'a run that replaces captions was cut off here. To go on with it give --resume and its --if-exists'
      return [
        ...(kinds.length > 0 ? [left] : []),
        ...passedOver.map(({ path, reason }) => `passed over ${path}: ${reason}`),
        ...plan.remarks,
        ...new Set(plan.planned.flatMap(({ reason }) => reason ?? [])),
        ...(plan.abandons ? [abandoned] : []),
      ]
    },
    intentions: () =>
      intended.map(({ picture, output }) => `${shownPath(picture.path)} -> ${shownPath(output)}`),
    add(outcome) {
      const { planned } = outcome
      if (outcome.kind === 'failed') return fail(planned, outcome.reason)
      const row = resultRow(planned.picture.path, outcome.caption)
      if (outcome.kind === 'written') {
        written++
        results.push({ ...row, output: planned.output })
        return undefined
      }
      const confidence = Number(outcome.confidence.toFixed(4))
      const reason = `not written, confidence ${three(confidence)}: ${outcome.caption.text}`
      unsure.push({ image: planned.picture.path, reason })
      results.push({ ...row, unsure: true, confidence })
      return undefined
    },
    document: () => ({
      ...(flags.dryRun
        ? { dryRun: true, results: [...intended.map(fileRow), ...results] }
        : { results }),
      skipped: skipped.map(fileRow),
      counts: {
        written,
        skipped: skipped.length,
        failed: failed.length,
        unsure: unsure.length,
      },
      others,
      passedOver,
    }),
    closing() {
      const seconds = (performance.now() - started) / 1000
      const counts = [
        flags.dryRun
          ? `${counted(intended.length, 'caption')} would be written`
          : `${counted(written, 'caption')} written${written > 0 ? ` in ${duration(seconds)}` : ''}`,
        ...(skipped.length > 0 ? [`${thousands(skipped.length)} there already`] : []),
        ...(unsure.length > 0 ? [`${thousands(unsure.length)} unsure and not written`] : []),
        ...(failed.length > 0 ? [`${thousands(failed.length)} failed`] : []),
      ]
      return `${counts.join(', ')}. ${where(flags, format)}`
    },
    troubles: () => [
      ...listed('unsure', unsure),
      ...(results.length > 2 * MOST_LISTED ? listed('failed', failed) : []),
    ],
    exitCode(strict) {
      const tried = written + skipped.length + unsure.length + failed.length
      const isFailure = failed.length > 0 && (strict || failed.length === tried)
      return isFailure ? exitCodes.failure : 0
    },
  }
}

function fileRow({ picture, output }: Planned): object {
  return { image: picture.path, output }
}

function where({ out, extension }: CaptionFlags, format: CaptionFormat): string {
  if (format !== 'txt' && format !== 'json')
    return `They are in ${shownPath(out ?? `captions.${format}`)}.`
  const files = `*.${(extension ?? format).replace(/^\./, '')}`
  return out === undefined
    ? `They are in ${files} beside the pictures.`
    : `They are in ${files} in ${shownPath(out)}.`
}

function listed(title: string, troubles: readonly Trouble[]): string[] {
  if (troubles.length === 0) return []
  const more = troubles.length - MOST_LISTED
  return [
    `${title}:`,
    ...troubles.slice(0, MOST_LISTED).map(({ image, reason }) => `  ${image}: ${reason}`),
    ...(more > 0 ? [`  and ${thousands(more)} more; --json lists all`] : []),
  ]
}
