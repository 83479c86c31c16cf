/** Looks into parsed JSON of unknown shape without trusting it. */

export type JsonObject = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The objects in a value that should be an array of objects; empty when it is none. */
export function objectsIn(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

/** The strings in a value that is a string or an array of strings. */
export function stringsIn(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).filter((v) => typeof v === 'string')
}

/** A value that identifies something, as text: a string with characters in it, or a number. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** The start of a value as JSON, for an example in a report. */
export function sample(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 120) ?? String(value)
}
