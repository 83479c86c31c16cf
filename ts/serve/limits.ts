/** What clients may take: sizes in bytes, times in milliseconds. How many images may wait is the service's to say. */

const MIB = 1024 * 1024

export const limits = {
  /** One image file. */
  file: 10 * MIB,
  /** Image files of one request. */
  files: 16,
  /** Form fields that are no files. */
  fields: 32,
  /** One of them: 10,000 characters of prefix in UTF-8. */
  field: 40_000,
  fieldName: 100,
  /** Header lines of one part of a form. */
  partHeaders: 16,
  /** A JSON body of /predict: one image of the largest size as base64, or several small ones. */
  json: 16 * MIB,
  /** Images of one /predict. */
  predictions: 64,
  /** Uploads that wait in memory, of all requests together. */
  uploads: 256 * MIB,
  headers: 16 * 1024,
  connections: 1000,
} as const

export interface ServerTimes {
  /** From the first byte of a request to the end of its headers, or of its body. */
  readonly headers: number
  readonly request: number
  /** Without a byte either way. */
  readonly idle: number
  /** Between two requests. */
  readonly keepAlive: number
  /** Between two signs of life of a stream. */
  readonly heartbeat: number
}

export const times: ServerTimes = {
  headers: 10_000,
  request: 30_000,
  idle: 60_000,
  keepAlive: 72_000,
  heartbeat: 10_000,
}
