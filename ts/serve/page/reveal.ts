/** Shows a growing text one word after another at a pace that can be read, however fast its words come. */

export interface Reveal {
  /** What is to be shown now; words that are shown already and differ are replaced. */
  write(text: string): void
  /** Resolves once all is shown. */
  finish(text: string): Promise<void>
  /** Forgets what was shown, for another text. */
  stop(): void
}

/** Milliseconds between two words. */
const PACE = 70

/** @param still  whether all words appear at once, for those who asked for less motion */
export function createReveal(show: (words: readonly string[]) => void, still: boolean): Reveal {
  let shown: readonly string[] = []
  let wanted: readonly string[] = []
  let timer: ReturnType<typeof setTimeout> | undefined
  let finished: (() => void) | undefined
  const step = () => {
    timer = undefined
    const same = commonLength(shown, wanted)
    if (same === shown.length && same === wanted.length) return finished?.()
    shown = still ? wanted : wanted.slice(0, same + 1)
    show(shown)
    timer = setTimeout(step, still ? 0 : PACE)
  }
  const write = (text: string) => {
    wanted = text.split(/\s+/).filter(Boolean)
    if (timer === undefined) step()
  }
  return {
    write,
    finish: (text) =>
      new Promise((resolve) => {
        finished = resolve
        write(text)
      }),
    stop() {
      clearTimeout(timer)
      timer = undefined
      finished = undefined
      shown = []
      wanted = []
    },
  }
}

/** How many words from the start two lists have in common. */
export function commonLength(a: readonly string[], b: readonly string[]): number {
  const differs = a.findIndex((word, i) => word !== b[i])
  return differs < 0 ? Math.min(a.length, b.length) : differs
}
