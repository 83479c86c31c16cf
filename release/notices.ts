/** THIRD-PARTY-NOTICES: what other people's work is inside a package, and the texts of its licences. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { packageRoot } from '../ts/package-root.js'
import { type PlatformPackage, releaseFolder } from './packages.js'

const texts = join(packageRoot, 'release/notices')
const rule = `\n\n${'='.repeat(100)}\n\n`

interface Notice {
  readonly title: string
  readonly body: string
}

/** Of the package `captioneer`: JavaScript and sources. */
export function mainNotices(): string {
  const synonyms = join(packageRoot, 'ts/evaluate/meteor/synonyms.txt.gz')
  const licence = gunzipSync(readFileSync(synonyms)).toString().split('\n\n')[0]
  return compose('captioneer', [
    {
      title: 'WordNet 3.0, in ts/evaluate/meteor/synonyms.txt.gz',
      body: (licence ?? '').replaceAll(/^# ?/gm, ''),
    },
  ])
}

/** Of a package with a build of the addon; read from what the build left in its folder. */
export function platformNotices({ name, build, cuda }: PlatformPackage): string {
  const folder = join(releaseFolder, build, 'notices')
  const found = existsSync(folder) ? readdirSync(folder).sort() : []
  return compose(name, [
    ...found.map((file) => ({
      title: file.replace(/\.txt$/, ''),
      body: readFileSync(join(folder, file), 'utf8'),
    })),
    {
      title: 'libstdc++ and libgomp of the GNU Compiler Collection',
      body:
        'Copyright (C) Free Software Foundation, Inc. libstdc++ is part of captioneer.node, libgomp.so.1 lies beside it and is ' +
        'unchanged. Both are under the GNU General Public License, version 3 or later, with the GCC Runtime Library Exception, ' +
        'version 3.1, which lets programs under any licence use them. libgomp.so.1 can be replaced by any other one with the ' +
        'same interface. Source: https://gcc.gnu.org and, as compiled here, the source package gcc of Debian ' +
        '(https://snapshot.debian.org/package/gcc-10/10.2.1-6/).\n\n' +
        `${text('GCC-exception-3.1.txt')}\n\n${text('GPL-3.0.txt')}`,
    },
    ...(cuda === undefined ? [] : [cudaRuntime(cuda)]),
  ])
}

function cudaRuntime(cuda: number): Notice {
  return {
    title: `CUDA runtime ${cuda}, static (libcudart_static.a)`,
    body:
      'This software contains source code provided by NVIDIA Corporation. The CUDA runtime library is part of captioneer.node and ' +
      'is distributed under the CUDA Toolkit End User License Agreement, whose Attachment A lists it among the files that an ' +
      'application may be distributed with: https://docs.nvidia.com/cuda/eula/index.html',
  }
}

function text(name: string): string {
  return readFileSync(join(texts, name), 'utf8').trim()
}

function compose(name: string, notices: readonly Notice[]): string {
  const intro =
    `${name} is under the MIT licence (LICENSE). Inside it is work of others, named here with its licences. ` +
    'What npm installs beside it has its own licence in its own package.'
  const parts = notices.map(
    ({ title, body }) => `${title}\n${'-'.repeat(title.length)}\n\n${body.trim()}`,
  )
  return `${[intro, ...parts].join(rule)}\n`
}
