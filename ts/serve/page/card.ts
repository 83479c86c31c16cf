/** The card of one picture: the picture, how far it is, its caption and what can be done with it. */
import { altAttribute } from './alt-attribute.js'
import { announce } from './announce.js'
import { createCaptionView } from './caption-view.js'
import { choicesOf } from './choices.js'
import { copyText } from './clipboard.js'
import { button, iconOf, make } from './element.js'
import { createHeatMap } from './heat-map.js'
import { createJob, type JobSettings, type JobState, type Picture } from './job.js'
import type { Lanes } from './lanes.js'
import type { CaptionReply, ScoredCaption } from './reply.js'
import { createReveal } from './reveal.js'
import { statusOf } from './status.js'

export interface CardSurroundings {
  readonly lanes: Lanes
  readonly settings: () => JobSettings
  /** How the model of this id sees a picture. */
  readonly resizeOf: (model: string | undefined) => 'squash' | 'crop'
  /** Called when the server wants an access token. */
  readonly onTokenNeeded: () => void
  readonly onRemoved: (card: HTMLElement) => void
}

export interface Card {
  readonly element: HTMLElement
  remove(): void
}

/** Makes the card and begins at once. */
export function createCard(picture: Picture, surroundings: CardSurroundings): Card {
  const { name } = picture
  let model: string | undefined
  const heat = createHeatMap(() => surroundings.resizeOf(model))
  const view = createCaptionView(heat)
  const address = URL.createObjectURL(picture.file)
  const image = make('img', {
    className: 'photo',
    attributes: { alt: name, decoding: 'async', draggable: 'false' },
  })
  const shot = make('div', { className: 'shot' }, image, heat.canvas)
  image.addEventListener('load', () => {
    image.style.setProperty('--ratio', String(image.naturalWidth / image.naturalHeight))
  })
  image.addEventListener('error', () => shot.classList.add('broken'))
  image.src = address
  const missing = iconOf('picture')
  missing.classList.add('missing')

  const progress = make('progress', { attributes: { 'aria-label': `Progress of ${name}` } })
  const status = make('p', { className: 'status' })
  const detail = make('p', { className: 'detail' })
  const more = make('div', { className: 'more' })
  const actions = make('div', { className: 'actions' })
  const remove = button('', () => surroundings.onRemoved(element), {
    className: 'round',
    icon: 'close',
    label: `Remove ${name}`,
  })
  const element = make(
    'li',
    { className: 'card' },
    make(
      'article',
      {},
      make('div', { className: 'picture' }, shot, missing, progress),
      make(
        'div',
        { className: 'told' },
        make('div', { className: 'top' }, make('h3', { className: 'name', text: name }), remove),
        view.element,
        status,
        detail,
        more,
        actions,
      ),
    ),
  )

  const still = matchMedia('(prefers-reduced-motion: reduce)').matches
  const reveal = createReveal(view.write, still)
  let kind: JobState['kind'] | undefined

  const show = (state: JobState) => {
    const { words, share } = statusOf(state)
    status.textContent = words
    if (share === undefined) progress.removeAttribute('value')
    else progress.value = share
    if (state.kind === 'writing') reveal.write(state.text)
    if (state.kind === 'done') {
      void reveal.finish(state.reply.caption).then(() => finish(state.reply))
      return
    }
    if (state.kind === kind) return
    kind = state.kind
    element.dataset.state = kind
    if (state.kind === 'waiting' || state.kind === 'failed' || state.kind === 'cancelled') clear()
    if (state.kind === 'failed') {
      detail.textContent = state.problem.detail
      announce(`${name}: ${state.problem.title}`)
      if (state.problem.needsToken) surroundings.onTokenNeeded()
    }
    if (state.kind === 'failed' || state.kind === 'cancelled')
      setActions(button('Try again', job.start, { icon: 'again' }))
    else if (state.kind === 'waiting') setActions(button('Cancel', job.cancel))
  }

  const clear = () => {
    reveal.stop()
    heat.hide()
    view.write([])
    detail.textContent = ''
    more.replaceChildren()
  }

  const finish = (reply: CaptionReply) => {
    if (kind === 'done' || kind === 'cancelled' || kind === 'failed') return
    kind = 'done'
    element.dataset.state = kind
    model = reply.model
    const captions = reply.captions ?? [reply]
    let chosen: ScoredCaption = captions[0] ?? reply
    const choose = (caption: ScoredCaption) => {
      chosen = caption
      image.alt = caption.caption
      status.textContent = view.finish(caption) ? HINT : ''
    }
    choose(chosen)
    if (captions.length > 1) more.replaceChildren(choicesOf(captions, choose))
    setActions(
      copyButton('Copy text', () => chosen.caption, 'copy'),
      copyButton('Copy alt', () => altAttribute(chosen.caption), 'code'),
      button('Again', job.start, { icon: 'again', label: 'Caption again' }),
    )
    announce(`${name}: ${chosen.caption}`)
  }

  /** The focus stays among the actions when those that it was on are replaced. */
  const setActions = (...buttons: readonly HTMLButtonElement[]) => {
    const hadFocus = actions.contains(document.activeElement)
    actions.replaceChildren(...buttons)
    if (hadFocus) buttons[0]?.focus()
  }

  const job = createJob(picture, surroundings.lanes, surroundings.settings, show)
  job.start()
  return {
    element,
    remove() {
      job.cancel()
      reveal.stop()
      URL.revokeObjectURL(address)
      element.remove()
    },
  }
}

const HINT = 'Point at a word, or tap it, to see where the model looked.'
const COPIED_FOR = 1600

function copyButton(words: string, text: () => string, icon: string): HTMLButtonElement {
  const label = make('span', { text: words })
  const made = button(
    '',
    async () => {
      const done = await copyText(text())
      label.textContent = done ? 'Copied' : 'Not allowed'
      announce(done ? `Copied: ${text()}` : 'The browser did not allow to copy.')
      setTimeout(() => {
        label.textContent = words
      }, COPIED_FOR)
    },
    { icon },
  )
  made.append(label)
  return made
}
