/** An image of a document, where it stands, and what its author has said of it. */

/**
 * `missing`: no alt text. `present`: has one, or another name that screen readers read. `decorative`: said to be
 * without meaning. `template`: its tag is filled in by a program, which may give it one.
 */
export type AltState = 'missing' | 'present' | 'decorative' | 'template'

export interface FoundImage {
  /** As the document means it: character references resolved, percent-encoding kept. Undefined when it has none. */
  readonly src: string | undefined
  readonly state: AltState
  /** From 1. */
  readonly line: number
  readonly column: number
  /** The part of the text that `altMarkup` replaces, UTF-16 units. */
  readonly start: number
  readonly end: number
  /** The alt text as it is written there. */
  readonly altMarkup: (alt: string) => string
}

export interface DocumentImages {
  readonly images: readonly FoundImage[]
  /** What addresses of images are relative to, where the document says so. */
  readonly base?: string | undefined
}

const templateMark = /\{\{|\{%|\{#|<%|<\?|\$\{/

/** Whether a part of a document is written in a template language. */
export function isTemplate(text: string): boolean {
  return templateMark.test(text)
}
