/** From the address of an image in a document to a file on this machine. Nothing is ever fetched. */
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

export interface ResolveOptions {
  /** The document's file. */
  readonly document: string
  /** What addresses are relative to, where the document says so (`<base href>`). */
  readonly base: string | undefined
  /** The folder that `/` stands for. */
  readonly root: string | undefined
}

/** A file, which may not be there, or why there is none. */
export type Resolved = { readonly path: string } | { readonly reason: string }

/** @param src as the document means it, percent-encoding kept */
export function resolveImage(src: string | undefined, options: ResolveOptions): Resolved {
  if (src === undefined || src.trim() === '') return { reason: 'it has no address' }
  const address = src.trim()
  const elsewhere = elsewhereReason(address)
  if (elsewhere !== undefined) return { reason: elsewhere }
  if (options.base !== undefined && elsewhereReason(options.base) !== undefined)
    return { reason: `relative to ${options.base}, and nothing is fetched` }
  const whole = isAbsolute(address) ? address : withBase(address, options.base)
  const folder = isAbsolute(whole) ? options.root : dirname(options.document)
  if (folder === undefined) return { reason: 'give --root, the folder that / stands for' }
  // A file may really be called "100%.png" or "a?b.png".
  const [plain = ''] = whole.split(/[?#]/)
  const candidates = [decoded(plain), plain, whole].map((path) =>
    // From the root no ".." leads out of it, as in a browser.
    resolve(folder, isAbsolute(path) ? `.${join('/', path)}` : path),
  )
  return { path: candidates.find((path) => existsSync(path)) ?? candidates[0] ?? '' }
}

function elsewhereReason(address: string): string | undefined {
  if (/^data:/i.test(address)) return 'it is part of the document (data:)'
  if (/^[/\\]{2}/.test(address)) return 'it is on another machine, and nothing is fetched'
  if (/^[a-z][a-z0-9+.-]+:/i.test(address)) {
    const [scheme = ''] = address.split(':')
    return /^https?$/i.test(scheme)
      ? 'it is on another machine, and nothing is fetched'
      : `addresses with ${scheme}: are not read`
  }
  return undefined
}

function isAbsolute(address: string): boolean {
  return /^[/\\]/.test(address)
}

function withBase(address: string, base = ''): string {
  return base.slice(0, base.lastIndexOf('/') + 1) + address
}

function decoded(address: string): string {
  try {
    return decodeURIComponent(address)
  } catch {
    return address
  }
}
