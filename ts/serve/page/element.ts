/** Makes elements of the page. All text goes in as text, so that a caption or a file name is never read as markup. */

interface Looks {
  readonly className?: string
  readonly text?: string
  /** Attributes; one of `false` is left out. */
  readonly attributes?: Readonly<Record<string, string | false>>
}

export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  { className, text, attributes = {} }: Looks = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag)
  if (className) made.className = className
  if (text !== undefined) made.textContent = text
  for (const [name, value] of Object.entries(attributes))
    if (value !== false) made.setAttribute(name, value)
  made.append(...children)
  return made
}

/** A button with an icon, or with words, or both. */
export function button(
  words: string,
  press: () => void,
  { className, icon, label }: { className?: string; icon?: string; label?: string } = {},
): HTMLButtonElement {
  const made = make('button', {
    className: className ?? 'quiet',
    attributes: { type: 'button', 'aria-label': label ?? false },
  })
  if (icon) made.append(iconOf(icon))
  if (words) made.append(make('span', { text: words }))
  made.addEventListener('click', press)
  return made
}

const SVG = 'http://www.w3.org/2000/svg'

/** A drawing from the page's own set of symbols. */
export function iconOf(name: string): SVGSVGElement {
  const icon = document.createElementNS(SVG, 'svg')
  icon.setAttribute('class', 'icon')
  icon.setAttribute('aria-hidden', 'true')
  const use = document.createElementNS(SVG, 'use')
  use.setAttribute('href', `#icon-${name}`)
  icon.append(use)
  return icon
}

/** The element of the page's HTML with this id. */
export function byId<Type extends HTMLElement>(id: string, type: new () => Type): Type {
  const found = document.getElementById(id)
  if (found instanceof type) return found
  throw new Error(`page: no ${type.name} with the id "${id}"`)
}
