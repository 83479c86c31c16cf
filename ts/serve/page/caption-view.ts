/**
 * A caption whose words show where the model looked: those that are pointed at, and the one that has the focus or was
 * tapped. To the keyboard the words are one list: arrows go from word to word.
 */
import { make } from './element.js'
import type { HeatMap } from './heat-map.js'
import type { ScoredCaption } from './reply.js'
import { commonLength } from './reveal.js'
import { captionWords } from './words.js'

export interface CaptionView {
  readonly element: HTMLElement
  /** The words so far, of a caption that is being written. */
  write(words: readonly string[]): void
  /** The whole caption. @returns whether its words can be pointed at */
  finish(caption: ScoredCaption): boolean
}

const LISTED = 'Words of the caption. Choose one to see where the model looked'

export function createCaptionView(heat: HeatMap): CaptionView {
  const element = make('p', { className: 'caption' })
  let written: readonly string[] = []

  const write = (words: readonly string[]) => {
    const same = commonLength(written, words)
    while (element.childElementCount > same) element.lastChild?.remove()
    for (const text of words.slice(same))
      element.append(make('span', { className: 'word', text }), ' ')
    written = words
    for (const name of ['role', 'aria-label', 'aria-orientation']) element.removeAttribute(name)
  }

  const finish = ({ caption, attention }: ScoredCaption) => {
    const words = captionWords(caption, attention)
    // Anew, without the listeners of the caption that was here before.
    write([])
    write(words.map(({ text }) => text))
    heat.hide()
    const spans = [...element.children].filter((child) => child instanceof HTMLElement)
    if (!attention || words.every(({ weights }) => weights.length === 0)) return false
    const { width, height } = attention
    let chosen: number | undefined
    const show = (place: number | undefined) => {
      const weights = place === undefined ? undefined : words[place]?.weights
      if (weights?.length) heat.show(weights, width, height)
      else heat.hide()
      for (const [i, span] of spans.entries()) span.classList.toggle('looked', i === place)
    }
    const choose = (place: number | undefined) => {
      chosen = place
      for (const [i, span] of spans.entries()) {
        span.setAttribute('aria-selected', String(i === place))
        if (place !== undefined) span.tabIndex = i === place ? 0 : -1
      }
      show(place)
    }
    element.setAttribute('role', 'listbox')
    element.setAttribute('aria-orientation', 'horizontal')
    element.setAttribute('aria-label', LISTED)
    for (const [i, span] of spans.entries()) {
      span.setAttribute('role', 'option')
      span.setAttribute('aria-selected', 'false')
      span.tabIndex = i === 0 ? 0 : -1
      listen(span, {
        point: () => show(i),
        leave: () => show(chosen),
        choose: () => choose(i),
        drop: () => choose(undefined),
        isChosen: () => chosen === i,
        go: (to) => spans[Math.min(Math.max(to(i, spans.length), 0), spans.length - 1)]?.focus(),
      })
    }
    return true
  }
  return { element, write, finish }
}

interface WordActions {
  readonly point: () => void
  readonly leave: () => void
  readonly choose: () => void
  readonly drop: () => void
  readonly isChosen: () => boolean
  readonly go: (to: (place: number, count: number) => number) => void
}

const steps: Readonly<Record<string, (place: number, count: number) => number>> = {
  ArrowRight: (place) => place + 1,
  ArrowDown: (place) => place + 1,
  ArrowLeft: (place) => place - 1,
  ArrowUp: (place) => place - 1,
  Home: () => 0,
  End: (_, count) => count - 1,
}

function listen(word: HTMLElement, actions: WordActions): void {
  // A finger that points also taps; what it tapped stays.
  word.addEventListener('pointerenter', ({ pointerType }) => {
    if (pointerType !== 'touch') actions.point()
  })
  word.addEventListener('pointerleave', ({ pointerType }) => {
    if (pointerType !== 'touch') actions.leave()
  })
  let wasChosen = false
  word.addEventListener('pointerdown', () => {
    wasChosen = actions.isChosen()
  })
  word.addEventListener('click', () => {
    if (wasChosen) word.blur()
    else word.focus()
  })
  word.addEventListener('focus', actions.choose)
  word.addEventListener('blur', actions.drop)
  word.addEventListener('keydown', (event) => {
    const to = steps[event.key]
    if (event.key === 'Escape') word.blur()
    if (!to) return
    event.preventDefault()
    actions.go(to)
  })
}
