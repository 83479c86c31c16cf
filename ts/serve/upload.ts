/** A form's images and fields, read into memory within the limits. What the fields mean is caption-fields.ts. */
import type { FastifyRequest } from 'fastify'
import { ArgumentError, CaptioneerError } from '../errors.js'
import { HttpError } from './http-error.js'
import { limits } from './limits.js'
import type { UploadShare } from './upload-budget.js'

export interface UploadedImage {
  /** The file's name without folders, as the client gave it. */
  readonly name: string
  readonly bytes: Uint8Array
}

export interface Upload {
  readonly images: readonly UploadedImage[]
  /** Fields that are no files, in their order. */
  readonly fields: readonly (readonly [name: string, value: string])[]
}

/**
 * @throws HttpError when it is no form or too large; ArgumentError for a file that is no image; QueueFullError when too
 *   many uploads wait already
 */
export async function readUpload(request: FastifyRequest, share: UploadShare): Promise<Upload> {
  if (!request.isMultipart()) throw notMultipart(request)
  try {
    return await readParts(request, share)
  } catch (error) {
    throw formError(error)
  }
}

async function readParts(request: FastifyRequest, share: UploadShare): Promise<Upload> {
  const images: UploadedImage[] = []
  const fields: (readonly [string, string])[] = []
  for await (const part of request.parts()) {
    // A part may come without a name, whatever its type says.
    const field = (part.fieldname as string | undefined) ?? ''
    if (part.type === 'field') {
      if (part.valueTruncated) throw tooLarge(`field "${field}"`, limits.field)
      const value = String(part.value)
      share.take(value.length)
      fields.push([field, value])
    } else if (field === 'file') {
      const name = plainName(part.filename)
      images.push({ name, bytes: await readFile(part.file, name, share) })
    } else {
      part.file.resume()
      throw new ArgumentError(
        `caption: a file came as the field "${field.slice(0, 100)}"; expected it as "file"`,
      )
    }
  }
  return { images, fields }
}

async function readFile(
  file: AsyncIterable<Buffer> & { readonly truncated: boolean },
  name: string,
  share: UploadShare,
): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  for await (const chunk of file) {
    share.take(chunk.length)
    chunks.push(chunk)
  }
  if (file.truncated) throw tooLarge(`image "${name}"`, limits.file)
  return Buffer.concat(chunks)
}

/** What the multipart plugin throws, in our words: some of it is told apart by its code, some has no code at all. */
function formError(error: unknown): unknown {
  if (error instanceof CaptioneerError) return error
  const { code, message } = error as { readonly code?: string; readonly message?: string }
  const most = {
    FST_FILES_LIMIT: `${limits.files} files`,
    FST_FIELDS_LIMIT: `${limits.fields} fields`,
    FST_PARTS_LIMIT: `${limits.files} files and ${limits.fields} fields`,
  }[code ?? '']
  if (most) return new HttpError(413, 'ERR_TOO_LARGE', `caption: a form holds at most ${most}`)
  return new HttpError(400, 'ERR_BAD_REQUEST', `caption: the form cannot be read: ${message ?? ''}`)
}

function tooLarge(what: string, limit: number): HttpError {
  const most = limit >= 2 ** 20 ? `${limit / 2 ** 20} MiB` : `${limit} bytes`
  return new HttpError(413, 'ERR_TOO_LARGE', `caption: the ${what} has more than ${most}`)
}

function notMultipart({ headers }: FastifyRequest): HttpError {
  const type = headers['content-type']
  const came = type === undefined ? 'no content-type' : `"${type.slice(0, 100)}"`
  return new HttpError(
    415,
    'ERR_MEDIA_TYPE',
    `caption: expected multipart/form-data, received ${came}. Send it with: curl -F file=@photo.jpg`,
  )
}

/** Without control characters, which have no place in a log or a terminal. */
function plainName(name: string | undefined): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return (name ?? '').replace(/[\u0000-\u001f\u007f]/g, '').slice(0, 255)
}
