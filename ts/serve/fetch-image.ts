/**
 * Images from URLs, only of hosts that the server's owner named: `serve --allow-images-from`. One parser reads the URL; its
 * host is resolved once and that very address is connected to, never one of a private network; redirects are not followed.
 */
import { lookup as resolve } from 'node:dns/promises'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { BlockList, type LookupFunction } from 'node:net'
import { ArgumentError, CaptioneerError, ImageError } from '../errors.js'
import { limits } from './limits.js'
import type { UploadedImage } from './upload.js'
import type { UploadShare } from './upload-budget.js'

export type ImageFetcher = (
  url: string,
  share: UploadShare,
  signal: AbortSignal,
) => Promise<UploadedImage>

export interface FetchOptions {
  /** `example.org`, or with a port that is not the scheme's, `example.org:8080`. */
  readonly hosts: readonly string[]
  /** Addresses that are never connected to; the private ranges when left out. */
  readonly blocked?: BlockList
  /** Longest time of one image, ms. */
  readonly time?: number
}

/** @throws ArgumentError for a URL that is not allowed; ImageError when it gives no image in time and size */
export function imageFetcher({
  hosts,
  blocked = privateAddresses(),
  time = 10_000,
}: FetchOptions): ImageFetcher {
  return async (text, share, signal) => {
    const url = allowed(text, hosts)
    signal.throwIfAborted()
    // Node 20 loses an AbortSignal.timeout within AbortSignal.any to the garbage collector, and the time with it.
    const ending = new AbortController()
    const end = () => ending.abort()
    const timer = setTimeout(end, time)
    signal.addEventListener('abort', end)
    // Looking a name up cannot be ended, only left.
    const ended = new Promise<never>((_, fail) => {
      ending.signal.addEventListener('abort', () => fail(ending.signal.reason))
    })
    const fetched = async () => {
      const address = await publicAddress(url, blocked)
      ending.signal.throwIfAborted()
      return { name: nameOf(url), bytes: await get(url, address, share, ending.signal) }
    }
    try {
      return await Promise.race([ended, fetched()])
    } catch (error) {
      signal.throwIfAborted()
      if (ending.signal.aborted) throw fetchError(url, `it took longer than ${time / 1000} s`)
      if (error instanceof CaptioneerError) throw error
      throw fetchError(url, error instanceof Error ? error.message : String(error))
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
    }
  }
}

function allowed(text: string, hosts: readonly string[]): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isWeb = url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
  if (!isWeb)
    throw new ArgumentError('caption: expected url to be an address as https://example.org/a.jpg')
  if (!hosts.includes(url.host))
    throw new ArgumentError(
      `caption: images from ${url.host} are not allowed here; allowed: ${hosts.join(', ')}`,
    )
  return url
}

interface Address {
  readonly address: string
  readonly family: number
}

async function publicAddress(url: URL, blocked: BlockList): Promise<Address> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const [first, ...others] = await resolve(host, { all: true })
  const isBlocked = ({ address, family }: Address) =>
    blocked.check(address, family === 6 ? 'ipv6' : 'ipv4')
  if (!first || [first, ...others].some(isBlocked))
    throw new ArgumentError(`caption: ${url.host} is an address of a private network`)
  return first
}

async function get(
  url: URL,
  { address, family }: Address,
  share: UploadShare,
  signal: AbortSignal,
): Promise<Uint8Array> {
  // Also when Node asks for all addresses, it is told the one that was checked.
  const lookup: LookupFunction = (_, options, done) =>
    options.all ? done(null, [{ address, family }]) : done(null, address, family)
  const request = url.protocol === 'https:' ? requestHttps : requestHttp
  return await new Promise((done, fail) => {
    const sent = request(url, { lookup, signal, agent: false, maxHeaderSize: limits.headers })
    sent.on('error', fail)
    sent.on('response', async (response) => {
      try {
        if (response.statusCode !== 200)
          throw fetchError(url, `it answered ${response.statusCode}, expected 200`)
        const chunks: Buffer[] = []
        let size = 0
        for await (const chunk of response as AsyncIterable<Buffer>) {
          size += chunk.length
          if (size > limits.file) throw fetchError(url, 'it has more than 10 MiB')
          share.take(chunk.length)
          chunks.push(chunk)
        }
        done(Buffer.concat(chunks))
      } catch (error) {
        fail(error)
      } finally {
        sent.destroy()
      }
    })
    sent.end()
  })
}

function nameOf({ pathname, host }: URL): string {
  return pathname.slice(pathname.lastIndexOf('/') + 1).slice(0, 255) || host
}

function fetchError({ host, pathname }: URL, reason: string): ImageError {
  return new ImageError(`fetching "${`${host}${pathname}`.slice(0, 100)}": ${reason}`)
}

/** Networks that are not the public internet. Source: IANA's special-purpose address registries (RFC 6890). */
export function privateAddresses(): BlockList {
  const list = new BlockList()
  const subnets = {
    ipv4:
      '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 ' +
      '192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4',
    // The last ones hold IPv4 addresses inside.
    ipv6: '::/128 ::1/128 100::/64 2001::/23 2001:db8::/32 fc00::/7 fe80::/10 fec0::/10 ff00::/8 ::/96 64:ff9b::/96 64:ff9b:1::/48 2002::/16',
  } as const
  for (const family of ['ipv4', 'ipv6'] as const)
    for (const subnet of subnets[family].split(' ')) {
      const [network = '', bits] = subnet.split('/')
      list.addSubnet(network, Number(bits), family)
    }
  return list
}
