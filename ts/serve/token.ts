/** The bearer token: compared by digest, in a time that does not depend on how much of it is right. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { HttpError } from './http-error.js'

/** A hook's check that a request carries `token`. */
export function tokenCheck(token: string): (request: FastifyRequest) => void {
  const expected = digest(token)
  return ({ headers: { authorization = '' } }) => {
    const given = /^bearer +(.+)$/i.exec(authorization)?.[1] ?? ''
    if (timingSafeEqual(digest(given), expected)) return
    throw new HttpError(
      401,
      'ERR_UNAUTHORIZED',
      authorization === ''
        ? 'This server wants a token: send the header "authorization: Bearer TOKEN"'
        : 'The token in the authorization header is not this server\'s; expected "Bearer TOKEN"',
    )
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
