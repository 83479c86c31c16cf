/** Says things to people who listen to the page: whole sentences, never each word of a caption that is being written. */
import { byId, make } from './element.js'

/** Sentences that stay; a screen reader reads what is added. */
const KEPT = 4

export function announce(sentence: string): void {
  const region = byId('news', HTMLElement)
  region.append(make('p', { text: sentence }))
  while (region.childElementCount > KEPT) region.firstElementChild?.remove()
}
