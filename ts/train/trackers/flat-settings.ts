/** Nested settings as a flat list, for tables and for trackers that know only names and texts. */

/** Settings by dotted key, `optimizer.learningRate`, as text. */
export function flatSettings(section: object, prefix = ''): [key: string, value: string][] {
  return Object.entries(section).flatMap(([key, value]: [string, unknown]) => {
    if (value === undefined) return []
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? flatSettings(value, `${prefix}${key}.`)
      : [[prefix + key, Array.isArray(value) ? value.join(', ') : textOf(value)]]
  })
}

/** As a person sees it: a blank text needs its quotes. */
function textOf(value: unknown): string {
  return typeof value === 'string' && value.trim() === '' ? JSON.stringify(value) : String(value)
}
