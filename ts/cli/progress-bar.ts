/**
 * Progress on one line: a bar that is redrawn on a terminal, a plain line every ten seconds anywhere else.
 * What the figures mean is the caller's.
 */
import { clock } from './format.js'

/** How far something is. */
export interface Progress {
  readonly label: string
  readonly done: number
  readonly total: number
  /** Part of the work that is done, 0-1; done / total unless given. */
  readonly share?: number
  /** Figures, the most important first: a narrow terminal shows only those that fit. */
  readonly facts: readonly string[]
  readonly secondsLeft?: number
}

export interface ProgressBar {
  update(progress: Progress): void
  /** Lines that stay, above the bar. */
  note(text: string): void
  /** Writes the last figures for good; may be called twice. */
  end(): void
}

/** Where a bar is drawn: a terminal, or anything that takes text. */
export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const REDRAW_MS = 100
const PLAIN_LINE_MS = 10_000
const LONGEST_BAR = 30
const SHORTEST_BAR = 8

/** @param now clock in milliseconds */
export function createProgressBar(
  stream: ProgressStream,
  now: () => number = () => performance.now(),
): ProgressBar {
  const terminal = stream.isTTY === true
  let latest: Progress | undefined
  let written = false // whether `latest` is on the screen, or in the log
  let writtenAt = Number.NEGATIVE_INFINITY

  const write = (progress: Progress) => {
    const line = terminal
      ? `\r${barLine(progress, stream.columns ?? 80)}\x1b[K`
      : `${plainLine(progress)}\n`
    stream.write(line)
    written = true
    writtenAt = now()
  }
  const end = () => {
    if (latest && !written) write(latest)
    if (latest && terminal) stream.write('\n')
    latest = undefined
  }
  return {
    update: (progress) => {
      if (latest?.label !== progress.label) end()
      const isFirst = latest === undefined
      latest = progress
      written = false
      if (isFirst || now() - writtenAt >= (terminal ? REDRAW_MS : PLAIN_LINE_MS)) write(progress)
    },
    note: (text) => {
      if (!terminal || !latest) {
        stream.write(`${text}\n`)
        return
      }
      stream.write(`\r\x1b[K${text}\n`)
      write(latest)
    },
    end,
  }
}

/** `features 120/8,000  31 images/s  4:12 left`. */
export function plainLine(progress: Progress): string {
  return [`${progress.label} ${counts(progress)}`, ...factsOf(progress)].join('  ')
}

/** A line with a bar, at most `columns - 1` characters, so that no terminal wraps it. */
export function barLine(progress: Progress, columns: number): string {
  const share = progress.share ?? progress.done / Math.max(1, progress.total)
  const room = columns - 1
  const facts = factsOf(progress)
  const around = () => [progress.label, '', counts(progress), ...facts].join('  ').length - 1
  while (facts.length > 0 && around() + SHORTEST_BAR > room) facts.pop()
  const length = Math.min(LONGEST_BAR, room - around())
  if (length < SHORTEST_BAR) {
    return `${progress.label} ${counts(progress)}`.slice(0, Math.max(0, room))
  }
  const full = Math.round(Math.min(1, share) * length)
  const bar = '█'.repeat(full) + '░'.repeat(length - full)
  return [`${progress.label} ${bar} ${counts(progress)}`, ...facts].join('  ')
}

function counts({ done, total }: Progress): string {
  return `${done.toLocaleString('en-US')}/${total.toLocaleString('en-US')}`
}

function factsOf({ facts, secondsLeft }: Progress): string[] {
  const left =
    secondsLeft === undefined || !Number.isFinite(secondsLeft) ? [] : [`${clock(secondsLeft)} left`]
  return [...facts.slice(0, 1), ...left, ...facts.slice(1)]
}
