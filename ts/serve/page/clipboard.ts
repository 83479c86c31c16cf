/** Puts text on the clipboard. */
import { make } from './element.js'

/** @returns whether it worked; a page that did not come over HTTPS or from this machine has only the old way */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copySelected(text)
  }
}

function copySelected(text: string): boolean {
  const focused = document.activeElement
  const field = make('textarea', { className: 'unseen', attributes: { 'aria-hidden': 'true' } })
  field.value = text
  document.body.append(field)
  field.select()
  const copied = document.execCommand('copy')
  field.remove()
  if (focused instanceof HTMLElement) focused.focus()
  return copied
}
