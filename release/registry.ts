/**
 * A registry on this machine that has the packages of this release, and sends npm to the registry it is configured for with
 * every other one. So what is tried is `npm install captioneer` itself.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import type { Packed } from './pack.js'
import { output } from './run.js'

export interface Registry {
  readonly url: string
  close(): void
}

export async function serveRegistry(packages: readonly Packed[]): Promise<Registry> {
  const elsewhere = output('npm', ['config', 'get', 'registry']).trim().replace(/\/$/, '')
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '/').slice(1)
    const wanted = packages.find(({ name }) => name === path)
    const file = packages.find(({ tarball }) => path === `-/${basename(tarball)}`)
    if (wanted) response.end(JSON.stringify(packument(wanted, url)))
    else if (file) createReadStream(file.tarball).pipe(response)
    else response.writeHead(307, { location: `${elsewhere}${request.url}` }).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, close: () => server.close() }
}

function packument({ name, version, folder, tarball }: Packed, url: string): unknown {
  const manifest: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const sha512 = createHash('sha512').update(readFileSync(tarball)).digest('base64')
  const dist = { tarball: `${url}/-/${basename(tarball)}`, integrity: `sha512-${sha512}` }
  return {
    name,
    'dist-tags': { latest: version },
    versions: { [version]: { ...(manifest as object), dist } },
  }
}
