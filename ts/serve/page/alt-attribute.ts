/** A caption as the `alt` of an HTML image. */

const references: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '"': '&quot;',
  '<': '&lt;',
  '>': '&gt;',
}

/** `alt="..."`, with what HTML would read as markup escaped and line breaks made blanks. */
export function altAttribute(caption: string): string {
  const value = caption
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/[&"<>]/g, (character) => references[character] ?? character)
  return `alt="${value}"`
}
