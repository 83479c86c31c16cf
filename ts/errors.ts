/**
 * Every error class of captioneer. A message says what was being done, what was expected, what came,
 * and what to do. Messages with more than one user are built here; others are written where they are thrown.
 */

/** Base of all errors that captioneer raises on purpose; `code` is stable across releases. */
export class CaptioneerError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** Shapes that do not fit together. */
export class ShapeError extends CaptioneerError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_SHAPE', message, options)
  }
}

/** A tensor of the wrong element type. */
export class DtypeError extends CaptioneerError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DTYPE', message, options)
  }
}

/** A wrong argument, option, flag or config value. */
export class ArgumentError extends CaptioneerError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_ARGUMENT', message, options)
  }
}

/** Use of a tensor, captioner or scope after it was freed. */
export class DisposedError extends CaptioneerError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DISPOSED', message, options)
  }
}

/** The device or the host has no memory left for what was asked. */
export class OutOfMemoryError extends CaptioneerError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_OUT_OF_MEMORY', message, options)
  }
}

/** A device that is not there, or that failed. */
export class DeviceError extends CaptioneerError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DEVICE', message, options)
  }
}

/** A model folder, checkpoint or weights file that cannot be read, is damaged, or does not fit. */
export class CheckpointError extends CaptioneerError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_CHECKPOINT', message, options)
  }
}

/** An image that cannot be decoded. */
export class ImageError extends CaptioneerError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_IMAGE', message, options)
  }
}

/** Training or evaluation data that cannot be used. */
export class DataError extends CaptioneerError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DATA', message, options)
  }
}

/** More requests wait already than are kept: to be sent again later. */
export class QueueFullError extends CaptioneerError {
  /** When it may be worth trying again, whole seconds from 1. */
  readonly retryAfterSeconds: number
  constructor(message: string, retryAfterSeconds: number, options?: ErrorOptions) {
    super('ERR_QUEUE_FULL', message, options)
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** Work that took longer than it may. */
export class TimeoutError extends CaptioneerError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_TIMEOUT', message, options)
  }
}

/** A server that is starting, closing or without its model: another moment, or another server, may answer. */
export class UnavailableError extends CaptioneerError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_UNAVAILABLE', message, options)
  }
}

/** `caption: expected maxTokens to be an integer from 1 to 512, received 0` */
export function argumentError(
  where: string,
  name: string,
  expected: string,
  received: unknown,
): ArgumentError {
  return new ArgumentError(
    `${where}: expected ${name} to be ${expected}, received ${printable(received)}`,
  )
}

/** A fault of captioneer itself: says so, and where to report it. */
export function internalError(what: string): CaptioneerError {
  return new CaptioneerError(
    'ERR_INTERNAL',
    `${what}. This is a bug in captioneer: please report it with the output of "captioneer doctor"`,
  )
}

/** A value as it should stand in a message: strings quoted, long ones cut. */
export function printable(value: unknown): string {
  if (typeof value === 'string') {
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
  }
  if (typeof value === 'object' && value !== null) {
    const text = JSON.stringify(value) ?? String(value)
    return text.length > 60 ? `${text.slice(0, 57)}...` : text
  }
  return String(value)
}

/** `[2, 3]`, as shapes stand in messages. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`
}

/** The entry of `valid` that is nearest to `word` (edit distance), or undefined when none is near. */
export function nearest(word: string, valid: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1
  for (const candidate of valid) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(substitution, (previous[j] as number) + 1, (row[j - 1] as number) + 1))
    }
    previous = row
  }
  return previous[b.length] as number
}
