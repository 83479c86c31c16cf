/** The page: takes pictures, makes a card for each, tells which models there are. */
import { announce } from './announce.js'
import { listenForCamera } from './camera.js'
import { type Card, createCard } from './card.js'
import { byId } from './element.js'
import { offerExamples } from './examples.js'
import { listenForPictures } from './intake.js'
import type { Picture } from './job.js'
import { createLanes } from './lanes.js'
import { createOptions } from './options.js'
import type { OfferedModel } from './reply.js'

/** Pictures that are sent at a time: enough for the server to caption them together. */
const lanes = createLanes(4)
/** Milliseconds after which a server without a model is asked again. */
const ASK_AGAIN = 2000
const list = byId('cards', HTMLElement)
const cards = new Map<HTMLElement, Card>()
let models: readonly OfferedModel[] = []

const modelOf = (id: string | undefined) => models.find((model) => model.id === id) ?? models[0]
const options = createOptions({
  onModel: (id) => tellModel(modelOf(id)),
  onToken: readModels,
})

function take(pictures: readonly Picture[]): void {
  if (pictures.length === 0) return
  const [first] = pictures
  announce(
    pictures.length === 1 ? `Captioning ${first?.name}` : `Captioning ${pictures.length} pictures`,
  )
  const made = pictures.map((picture) => createCard(picture, surroundings))
  for (const card of made) cards.set(card.element, card)
  list.prepend(...made.map(({ element }) => element))
  tellCount()
}

const surroundings = {
  lanes,
  settings: () => ({ fields: options.fields(), token: options.token() }),
  resizeOf: (id: string | undefined) => modelOf(id)?.image.resize ?? 'squash',
  onTokenNeeded: () => options.askForToken(),
  onRemoved(element: HTMLElement) {
    const next = element.nextElementSibling ?? element.previousElementSibling
    cards.get(element)?.remove()
    cards.delete(element)
    tellCount()
    const focus = next?.querySelector<HTMLElement>('.round') ?? byId('choose', HTMLButtonElement)
    focus.focus()
  },
}

function tellCount(): void {
  const { size } = cards
  document.body.classList.toggle('working', size > 0)
  document.body.classList.toggle('several', size > 1)
  byId('results', HTMLElement).hidden = size === 0
  byId('how-many', HTMLElement).textContent = size === 1 ? '1 picture' : `${size} pictures`
  byId('clear', HTMLButtonElement).hidden = size < 2
}

function tellModel(model: OfferedModel | undefined): void {
  const size = model && `${(model.parameters / 1e6).toFixed(1)} M parameters`
  tell(model ? `${model.id} · ${size} · ${model.device}` : 'loading the model')
}

function tell(facts: string): void {
  byId('model-facts', HTMLElement).textContent = facts
}

/** Asks until there is a model, as a server that has just started loads it first. */
async function readModels(): Promise<void> {
  const token = options.token()
  const headers: HeadersInit = token ? { Authorization: `Bearer ${token}` } : {}
  const reply = await fetch('models', { headers }).catch(() => undefined)
  if (reply?.status === 401) {
    options.askForToken()
    tell('an access token is needed')
    return
  }
  const found = reply?.ok
    ? ((await reply.json()) as { models: readonly OfferedModel[] })
    : undefined
  models = found?.models ?? []
  options.offer(models)
  if (reply) tellModel(models[0])
  else tell('the server does not answer')
  if (models.length === 0) setTimeout(readModels, ASK_AGAIN)
}

byId('clear', HTMLButtonElement).addEventListener('click', () => {
  for (const card of cards.values()) card.remove()
  cards.clear()
  tellCount()
  announce('All pictures removed')
  byId('choose', HTMLButtonElement).focus()
})
listenForPictures(take)
listenForCamera(take)
await Promise.all([readModels(), offerExamples(take)])
